"""What the checks of dashboards and alerts share."""
