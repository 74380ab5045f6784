"""Who a connecting client is: tokens, passwords, lock-out and the ownership of client ids."""
