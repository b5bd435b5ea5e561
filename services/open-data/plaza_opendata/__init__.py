"""Open-data service: releases and their files."""
