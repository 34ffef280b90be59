"""Task definitions (tasks/*/task.yaml) made into documents, requests and scores."""
