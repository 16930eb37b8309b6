"""Shell over httpx: the offer goes out, the answer and the call id come back; and the REST side beside a call."""
