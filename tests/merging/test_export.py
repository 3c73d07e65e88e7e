"""Exports: ordinary checkpoints, whole or not at all."""

import errno
import json
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from evomerge.errors import CandidateFailed, ConfigError, EvomergeError
from evomerge.merging import Library, Merge, Provenance, export_model
from evomerge.recipe import Recipe, load_recipe

MakeRecipe = Callable[..., Recipe]
RULE = {"use": "task_arithmetic", "weights": [0.3, 0.9]}
PROVENANCE = Provenance("It was made in a test.")


def export(recipe: Recipe, destination: Path, max_shard_bytes: int = 10**9) -> Path:
    return export_model(recipe, Library(), destination, PROVENANCE, max_shard_bytes=max_shard_bytes)


def everything_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestWhole:
    """What an export consists of."""

    def test_anyone_can_load_it(self, recipe_of: MakeRecipe, zoo: Path, tmp_path: Path) -> None:
        recipe = recipe_of(RULE)
        folder = export(recipe, tmp_path / "out")
        model, merge = AutoModelForCausalLM.from_pretrained(folder), Merge(recipe, Library())
        held = model.state_dict()
        assert sorted(held) == sorted(merge.names)
        assert all(torch.equal(held[name], merge.tensor(name)) for name in merge.names)
        assert AutoTokenizer.from_pretrained(folder)("w3 w5").input_ids == [3, 5]
        logits = model(torch.tensor([[1, 2, 3]])).logits
        assert bool(logits.isfinite().all())

    def test_it_has_all_files(self, recipe_of: MakeRecipe, zoo: Path, tmp_path: Path) -> None:
        recipe = recipe_of(RULE)
        folder = export(recipe, tmp_path / "out")
        assert {path.name for path in folder.iterdir()} == {
            *("config.json", "generation_config.json", "model.safetensors", "README.md", "recipe.yaml"),
            *("tokenizer.json", "tokenizer_config.json", "SHA256SUMS"),
        }
        for name in ("generation_config.json", "tokenizer.json"):
            assert (folder / name).read_bytes() == (zoo / "base" / name).read_bytes()
        assert load_recipe(folder / "recipe.yaml") == recipe.canonical
        assert "It was made in a test." in (folder / "README.md").read_text(encoding="utf-8")

    @pytest.mark.parametrize("room", [1, 2000, 5000])
    def test_a_large_model_is_cut_into_shards(self, recipe_of: MakeRecipe, tmp_path: Path, room: int) -> None:
        whole = export(recipe_of(RULE), tmp_path / "whole")
        cut = export(recipe_of(RULE), tmp_path / "cut", max_shard_bytes=room)
        names = json.loads((cut / "model.safetensors.index.json").read_text(encoding="utf-8"))["weight_map"]
        assert not (cut / "model.safetensors").exists()
        files = sorted({*names.values()})
        assert files == [f"model-{n:05d}-of-{len(files):05d}.safetensors" for n in range(1, len(files) + 1)]
        one, other = (AutoModelForCausalLM.from_pretrained(folder).state_dict() for folder in (whole, cut))
        assert all(torch.equal(one[name], other[name]) for name in one)
        assert AutoModelForCausalLM.from_pretrained(cut, use_safetensors=True).config.model_type == "llama"

    def test_digests_can_be_checked_anywhere(self, recipe_of: MakeRecipe, tmp_path: Path) -> None:
        folder = export(recipe_of(RULE), tmp_path / "out", max_shard_bytes=5000)
        check = subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, capture_output=True)
        assert check.returncode == 0
        assert len(check.stdout.splitlines()) == len(list(folder.glob("*.safetensors"))) > 1

    def test_tied_embeddings_stay_tied(self, recipe_of: MakeRecipe, tied_zoo: Path, tmp_path: Path) -> None:
        folder = export(recipe_of(RULE, zoo=tied_zoo), tmp_path / "out")
        assert "lm_head.weight" not in load_file(folder / "model.safetensors")
        model = AutoModelForCausalLM.from_pretrained(folder)
        assert model.lm_head.weight is model.model.embed_tokens.weight

    @pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
    def test_the_config_names_the_dtype(self, recipe_of: MakeRecipe, tmp_path: Path, dtype: str) -> None:
        folder = export(recipe_of(RULE, dtype=dtype), tmp_path / "out")
        assert {str(t.dtype) for t in load_file(folder / "model.safetensors").values()} == {f"torch.{dtype}"}
        assert AutoModelForCausalLM.from_pretrained(folder, dtype="auto").dtype == getattr(torch, dtype)

    def test_older_configs_keep_their_spelling_of_dtype(self, recipe_of: MakeRecipe, zoo: Path, tmp_path: Path) -> None:
        shutil.copytree(zoo, tmp_path / "zoo")
        for name in ("base", "math", "ja", "str"):
            file = tmp_path / "zoo" / name / "config.json"
            config = json.loads(file.read_text(encoding="utf-8"))
            config["torch_dtype"] = config.pop("dtype")
            file.write_text(json.dumps(config), encoding="utf-8")
        folder = export(recipe_of(RULE, zoo=tmp_path / "zoo", dtype="bfloat16"), tmp_path / "out")
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        assert config["torch_dtype"] == "bfloat16"
        assert "dtype" not in config

    def test_the_tokenizer_is_the_one_asked_for(self, recipe_of: MakeRecipe, zoo: Path, tmp_path: Path) -> None:
        shutil.copytree(zoo, tmp_path / "zoo")
        (tmp_path / "zoo" / "ja" / "chat_template.jinja").write_text("{{ messages }}", encoding="utf-8")
        folder = export(recipe_of(RULE, zoo=tmp_path / "zoo", tokenizer={"from": "ja"}), tmp_path / "out")
        assert (folder / "chat_template.jinja").read_text(encoding="utf-8") == "{{ messages }}"

    def test_what_a_model_of_images_needs_comes_from_the_donor(
        self, recipe_of: MakeRecipe, zoo: Path, tmp_path: Path
    ) -> None:
        shutil.copytree(zoo, tmp_path / "zoo")
        for name in ("base", "ja"):
            (tmp_path / "zoo" / name / "preprocessor_config.json").write_text(f'{{"of": "{name}"}}', encoding="utf-8")
        folder = export(recipe_of(RULE, zoo=tmp_path / "zoo", tokenizer={"from": "ja"}), tmp_path / "out")
        assert (folder / "preprocessor_config.json").read_text(encoding="utf-8") == '{"of": "base"}'

    def test_progress_is_told_in_bytes(self, recipe_of: MakeRecipe, tmp_path: Path) -> None:
        told: list[tuple[int, int]] = []
        export_model(
            recipe_of(RULE), Library(), tmp_path / "out", PROVENANCE, lambda *at: told.append(at), max_shard_bytes=3000
        )
        shards = map(load_file, (tmp_path / "out").glob("*.safetensors"))
        sizes = [tensor.nbytes for shard in shards for tensor in shard.values()]
        total = sum(sizes)
        assert len(told) == len(sizes)
        assert told == sorted(told)
        assert told[-1] == (total, total)

    def test_two_exports_are_equal_byte_by_byte(self, recipe_of: MakeRecipe, tmp_path: Path) -> None:
        rule = {"use": "dare_ties", "density": 0.3}
        one, other = (export(recipe_of(rule), tmp_path / name) for name in "ab")
        assert everything_in(one) == everything_in(other)

    def test_parents_are_made(self, recipe_of: MakeRecipe, tmp_path: Path) -> None:
        assert (export(recipe_of(RULE), tmp_path / "a" / "b" / "out") / "config.json").is_file()

    def test_a_relative_destination(
        self, recipe_of: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert export(recipe_of(RULE), Path("out")) == Path("out")
        assert (tmp_path / "out" / "config.json").is_file()


class TestNotAtAll:
    """When something goes wrong, nothing is touched and nothing is left."""

    @pytest.mark.parametrize("kind", ["folder", "file", "link"])
    def test_what_exists_is_not_overwritten(self, recipe_of: MakeRecipe, tmp_path: Path, kind: str) -> None:
        destination = tmp_path / "out"
        match kind:
            case "folder":
                destination.mkdir()
                (destination / "precious").write_text("x", encoding="utf-8")
            case "file":
                destination.write_text("x", encoding="utf-8")
            case "link":
                destination.symlink_to(tmp_path / "nowhere")
        before = everything_in(tmp_path)
        with pytest.raises(ConfigError) as caught:
            export(recipe_of(RULE), destination)
        assert str(caught.value) == f"{destination}: exists already. Choose another name, or move it away first."
        assert everything_in(tmp_path) == before
        assert [path.name for path in tmp_path.iterdir()] == ["out"]

    def test_a_parent_that_is_a_file(self, recipe_of: MakeRecipe, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x", encoding="utf-8")
        with pytest.raises(EvomergeError) as caught:
            export(recipe_of(RULE), tmp_path / "file" / "out")
        assert str(caught.value) == (
            f"{tmp_path}/file/out: could not be written: Not a directory. Nothing was left behind."
        )

    def test_a_write_that_fails_half_way(self, recipe_of: MakeRecipe, tmp_path: Path) -> None:
        """A limit on the size of files, which fails the same way as a failing disk."""
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        destination = tmp_path / "new" / "out"
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
        try:
            with pytest.raises(EvomergeError) as caught:
                export(recipe_of(RULE), destination)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert str(caught.value) == f"{destination}: could not be written: File too large. Nothing was left behind."
        assert list(tmp_path.iterdir()) == []

    def test_a_merge_that_fails(self, recipe_of: MakeRecipe, tmp_path: Path) -> None:
        recipe = recipe_of(RULE)
        other = tmp_path / "other"
        other.mkdir()
        (other / "config.json").write_text("{}", encoding="utf-8")
        (other / "model.safetensors").write_bytes((8).to_bytes(8, "little") + b"{}      ")
        models = recipe.models | {"ja": recipe.models["ja"].model_copy(update={"path": str(other)})}
        with pytest.raises(CandidateFailed, match=r"model ja has no tensor lm_head\.weight"):
            export(recipe.model_copy(update={"models": models}), tmp_path / "a" / "out")
        assert [path.name for path in tmp_path.iterdir()] == ["other"]

    def test_an_interruption(self, recipe_of: MakeRecipe, tmp_path: Path) -> None:
        def interrupt(done: int, total: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            export_model(recipe_of(RULE), Library(), tmp_path / "out", PROVENANCE, interrupt)
        assert list(tmp_path.iterdir()) == []

    def test_what_reads_back_differently_is_not_kept(self, recipe_of: MakeRecipe, tmp_path: Path) -> None:
        """A disk that lies, played by a device that forgets in the place of the second shard."""
        draft = tmp_path / f".out.partial-{os.getpid()}"

        def forgetful(done: int, total: int) -> None:
            (draft / "model-00002-of-00021.safetensors").symlink_to("/dev/null")

        with pytest.raises(EvomergeError, match=r"read back differs from what was written\. Check the disk\.$"):
            export_model(recipe_of(RULE), Library(), tmp_path / "out", PROVENANCE, forgetful, max_shard_bytes=1)
        assert list(tmp_path.iterdir()) == []


class TestFullDisk:
    """A real file system with little room."""

    @pytest.fixture
    def small_disk(self, tmp_path: Path) -> Iterator[Callable[[int], Path]]:
        folder = tmp_path / "disk"
        folder.mkdir()

        def mounted(num_bytes: int) -> Path:
            command = ["mount", "-t", "tmpfs", "-o", f"size={num_bytes}", "tmpfs", str(folder)]
            try:
                subprocess.run(command, check=True, capture_output=True)
            except (OSError, subprocess.CalledProcessError):
                pytest.skip("file systems cannot be mounted here")
            return folder

        yield mounted
        if os.path.ismount(folder):
            subprocess.run(["umount", str(folder)], check=True)

    def test_too_little_room_is_told_before_anything_is_written(
        self, recipe_of: MakeRecipe, small_disk: Callable[[int], Path]
    ) -> None:
        disk = small_disk(1 << 20)
        with pytest.raises(ConfigError) as caught:
            export(recipe_of(RULE), disk / "runs" / "out")
        assert str(caught.value) == (
            f"{disk}/runs/out: 1.07 MB are needed and 1.05 MB are free on its disk. "
            "Free some space or choose another destination."
        )
        assert list(disk.iterdir()) == []

    def test_a_disk_that_fills_meanwhile(self, recipe_of: MakeRecipe, small_disk: Callable[[int], Path]) -> None:
        disk = small_disk(2 << 20)
        ballast = disk / "of another program"

        def fill(done: int, total: int) -> None:
            with ballast.open("ab") as file:
                while os.statvfs(disk).f_bavail:
                    file.write(bytes(4096))
                    file.flush()

        with pytest.raises(EvomergeError) as caught:
            export_model(recipe_of(RULE), Library(), disk / "new" / "out", PROVENANCE, fill, max_shard_bytes=3000)
        assert str(caught.value) == (
            f"{disk}/new/out: could not be written: No space left on device. Nothing was left behind. "
            "Free some space or choose another destination."
        )
        assert isinstance(caught.value.__cause__, OSError)
        assert caught.value.__cause__.errno == errno.ENOSPC
        assert list(disk.iterdir()) == [ballast]
