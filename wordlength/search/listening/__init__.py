"""What a trial does to sound: files for the ear, pictures for the eye."""
