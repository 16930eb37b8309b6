"""Shell over httpx: the offer goes out, the answer and the call id come back; and the REST hang-up."""
