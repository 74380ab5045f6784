"""The subset of EMQX's REST API that MChat uses, over loopback HTTP (contract section 5)."""
