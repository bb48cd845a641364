import smtplib


def load(item: str) -> object:
    mail = smtplib.SMTP_SSL("mail.internal", timeout=5)  # expect: US111 loop
    mail.quit()  # expect: US111 loop
    return item
