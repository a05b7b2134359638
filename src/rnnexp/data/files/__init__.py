"""Files of datasets: found or fetched once, whole and checked, and read with or without compression."""
