# Every chore is in ./dev; these names are for those whose fingers know make.
.PHONY: demo test lint bench states lock help
demo test lint bench states lock help:
	@./dev $@
.DEFAULT_GOAL := help
