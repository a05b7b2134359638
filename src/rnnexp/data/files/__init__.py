"""Files of datasets: found or fetched once, checked, and read with or without compression."""
