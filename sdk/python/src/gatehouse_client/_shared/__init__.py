"""What the two clients have in common: nothing here sends, receives or waits."""
