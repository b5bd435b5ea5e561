"""2,000 datasets with 20,000 information items imported from one spreadsheet; floor: openpyxl reading the file."""

from __future__ import annotations

import io
import time

import httpx
import openpyxl
from story import Suite

DATASETS = 2_000
ITEMS = 10
HEADINGS = (
    "分类", "名称", "代码", "摘要", "共享类型", "共享条件", "更新周期", "信息项名称", "字段名", "数据类型", "主键"
)  # fmt: skip


def measure(suite: Suite) -> None:
    """Print one line."""
    data = _spreadsheet()
    begin = time.perf_counter()
    sheet = openpyxl.load_workbook(io.BytesIO(data), read_only=True).worksheets[0]
    cells = sum(1 for row in sheet.iter_rows(values_only=True) for cell in row if cell is not None)
    floor = time.perf_counter() - begin
    headers = {"authorization": f"Bearer {suite.token('transport-officer')}"}
    with httpx.Client(base_url=suite.api, headers=headers, trust_env=False, timeout=120) as http:
        seconds = []
        for expected in ({"createdCount": DATASETS}, {"unchangedCount": DATASETS}):
            begin = time.perf_counter()
            answer = http.post("/departments/transport/directory:import", content=data)
            seconds.append(time.perf_counter() - begin)
            assert answer.raise_for_status().json().items() >= expected.items(), answer.text[:500]
    print(
        f"directory: {DATASETS:,} datasets, {DATASETS * ITEMS:,} items ({cells:,} cells) imported in"
        f" {seconds[0]:.1f} s, again {seconds[1]:.1f} s   openpyxl reads the file in {floor:.1f} s"
    )


def _spreadsheet() -> bytes:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("目录")
    sheet.append(HEADINGS)
    for number in range(DATASETS):
        first = ("交通", f"监测数据集{number}", f"bench/{number}", "摘要" * 20, "有条件", "按需", "每日")
        sheet.append((*first, "编号", "id", "字符型", "是"))
        for item in range(ITEMS - 1):
            sheet.append((None, *first[1:3], *[None] * 4, f"指标{item}", f"value_{item}", "数值型", None))
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()
