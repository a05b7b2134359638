"""Words of the phrasebook and their forms."""
