"""What the end-to-end tests share: servers, histories, waiting."""
