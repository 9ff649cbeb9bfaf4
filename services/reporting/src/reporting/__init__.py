"""The reporting service. It delivers all notifications that leave the platform (webhook messages and mails), and does
the platform's upkeep.

Reports, forecasts, KPIs and data quality will be computed here, each in a folder of its own.
"""
