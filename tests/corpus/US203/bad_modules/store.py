from pypdf import PdfReader


def load(item: str) -> object:
    reader = PdfReader(item)  # expect: US203 loop
    return "".join(page.extract_text() for page in reader.pages)  # expect: US203 loop
