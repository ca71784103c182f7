"""Files of events -> one record an event, with the line it stands on, or what is wrong there. Sends nothing.

records      what every reader yields
json_lines   one event a line
csv_file     one row a line of a shipment
read_file    which of them a file needs
"""
