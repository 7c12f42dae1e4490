"""What is told about a client: its history, its log, its metrics. Start reading at ``report.py``."""
