"""M2N2: competition for items and attraction between complementary members (GECCO 2025, arXiv 2508.16204)."""
