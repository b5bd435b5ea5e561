"""Quality service: rules, assessment, score and light."""
