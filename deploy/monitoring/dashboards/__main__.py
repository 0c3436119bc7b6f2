"""Write Grafana's files anew."""

from __future__ import annotations

from deploy.monitoring.dashboards import files

for path, text in files():
    path.write_text(text, encoding="utf-8")
