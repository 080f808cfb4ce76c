"""Files between this machine and Azure: which files of a folder are uploaded, uploads and downloads."""
