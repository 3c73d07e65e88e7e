"""Reports (being written)."""
from pathlib import Path
def finalists_table(results):
    rows=[]
    for c in [*results.finalists,*results.references]:
        rows.append(f"{c.name:15s} "+" | ".join(f"{s}: {results.mean_of_tasks(c,s).value:.3f}" for s in c.estimates)+"  "+str({k:round(v.value,3) for k,v in c.estimates['test'].items()}))
    return "\n".join(rows)
def write_report(folder, results, settings, identity): return Path("none")
