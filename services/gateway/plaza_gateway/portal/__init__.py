"""The open-data portal: pages for citizens, in Chinese and English, over whatever `PortalSource` answers."""
