"""Who and what there is in the demo city. Everything is invented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

DEPARTMENTS = {
    "ecology": ("生态环境局", "Ecology and Environment Bureau", "11440300A"),
    "transport": ("交通运输局", "Transport Bureau", "11440300B"),
    "health": ("卫生健康委", "Health Commission", "11440300C"),
    "market": ("市场监管局", "Market Regulation Bureau", "11440300D"),
    "data-bureau": ("数据局", "Data Bureau", "11440300E"),
}


@dataclass(frozen=True, slots=True)
class DemoDataset:
    """A directory item of the demo city. `fields`: name, title, type, unit, required."""

    department: str
    id: str
    title: str
    title_en: str
    description: str
    category: str
    cycle: str
    level: str
    sharing: str
    fields: tuple[tuple[str, str, str, str, bool], ...]
    key: tuple[str, ...]

    def body(self) -> dict[str, Any]:
        """The dataset as `POST …/datasets` takes it."""
        return {
            "displayName": self.title,
            "displayNameEn": self.title_en,
            "description": self.description,
            "category": self.category,
            "format": "CSV",
            "updateCycle": f"UPDATE_CYCLE_{self.cycle}",
            "cityLevel": f"CITY_LEVEL_{self.level}",
            "sharing": {"class": f"SHARING_CLASS_{self.sharing}", "method": "接口"},
            "opening": {"allowed": self.level == "PUBLIC"},
            "licence": "CC-BY-4.0" if self.level == "PUBLIC" else "",
            "contract": {
                "fields": [_field(*field) for field in self.fields],
                "key": list(self.key),
                "rules": [_complete(field) for field in self.fields if not field[4]],
            },
        }


def _field(name: str, title: str, kind: str, unit: str, required: bool) -> dict[str, Any]:
    return {
        "name": name,
        "sourceName": title,
        "title": title,
        "type": f"FIELD_TYPE_{kind}",
        "unit": unit,
        "required": required,
    }


def _complete(field: tuple[str, str, str, str, bool]) -> dict[str, Any]:
    name, title = field[:2]
    return {
        "id": f"{name}-null-share",
        "title": f"{title}有值",
        "dimension": "DIMENSION_COMPLETENESS",
        "thresholdPercent": 90,
        "notNull": {"field": name},
    }


_STATION = ("station", "站点", "STRING", "", True)
_TIME = ("time", "时间", "TIMESTAMP", "", True)
_ID = ("id", "编号", "STRING", "", True)
_NAME = ("name", "名称", "STRING", "", True)
_ADDRESS = ("address", "地址", "STRING", "", False)
_LON = ("longitude", "经度", "NUMBER", "°", False)
_LAT = ("latitude", "纬度", "NUMBER", "°", False)

DATASETS = (
    DemoDataset(
        "ecology", "river-sections", "河流断面水质", "River water quality", "国控与市控断面每月水质监测结果。",
        "生态环境", "MONTHLY", "PUBLIC", "UNCONDITIONAL",
        (_STATION, _TIME, ("ph", "pH 值", "NUMBER", "", False), ("cod", "化学需氧量", "NUMBER", "mg/L", False)),
        ("station", "time"),
    ),
    DemoDataset(
        "ecology", "noise-hourly", "功能区噪声小时值", "Hourly noise by zone", "声环境功能区自动监测小时等效声级。",
        "生态环境", "HOURLY", "PUBLIC", "UNCONDITIONAL",
        (_STATION, _TIME, ("leq", "等效声级", "NUMBER", "dB(A)", False)), ("station", "time"),
    ),
    DemoDataset(
        "ecology", "emission-permits", "排污许可证", "Emission permits", "有效排污许可证及许可排放量。",
        "生态环境", "DAILY", "INTERNAL", "CONDITIONAL",
        (_ID, _NAME, ("valid_until", "有效期至", "DATE", "", False)), ("id",),
    ),
    DemoDataset(
        "transport", "bus-stops", "公交站点", "Bus stops", "全市公交站点名称与坐标。",
        "交通出行", "MONTHLY", "PUBLIC", "UNCONDITIONAL", (_ID, _NAME, _LON, _LAT), ("id",),
    ),
    DemoDataset(
        "transport", "metro-flow", "地铁客流（日）", "Metro ridership by day", "各站每日进出站人次。",
        "交通出行", "DAILY", "PUBLIC", "UNCONDITIONAL",
        (_STATION, ("day", "日期", "DATE", "", True), ("entries", "进站", "INTEGER", "人次", False)),
        ("station", "day"),
    ),
    DemoDataset(
        "transport", "road-works", "占道施工", "Road works", "批准的占道施工地点与起止日期。",
        "交通出行", "DAILY", "PUBLIC", "UNCONDITIONAL",
        (_ID, _ADDRESS, ("begins", "开始", "DATE", "", True), ("ends", "结束", "DATE", "", False)), ("id",),
    ),
    DemoDataset(
        "health", "clinics", "社区诊所名录", "Community clinics", "社区卫生服务中心与诊所的名称、地址与电话。",
        "医疗卫生", "MONTHLY", "PUBLIC", "UNCONDITIONAL",
        (_ID, _NAME, _ADDRESS, ("phone", "电话", "STRING", "", False)), ("id",),
    ),
    DemoDataset(
        "health", "insurance-sites", "医保定点机构", "Insurance-designated institutions",
        "医保定点医疗机构与零售药店。",
        "医疗卫生", "WEEKLY", "PUBLIC", "UNCONDITIONAL", (_ID, _NAME, _ADDRESS), ("id",),
    ),
    DemoDataset(
        "health", "bed-occupancy", "床位使用率", "Bed occupancy", "二级以上医院每日床位使用情况。",
        "医疗卫生", "DAILY", "SENSITIVE", "CONDITIONAL",
        (_ID, ("day", "日期", "DATE", "", True), ("rate", "使用率", "NUMBER", "%", False)), ("id", "day"),
    ),
    DemoDataset(
        "market", "food-inspections", "食品抽检结果", "Food inspections", "食品安全监督抽检结果与不合格项目。",
        "市场监管", "WEEKLY", "PUBLIC", "UNCONDITIONAL",
        (_ID, _NAME, ("passed", "合格", "BOOLEAN", "", True), ("sampled_on", "抽样日期", "DATE", "", True)), ("id",),
    ),
    DemoDataset(
        "market", "elevators", "电梯登记", "Lift register", "在用电梯登记与检验日期。",
        "市场监管", "MONTHLY", "INTERNAL", "UNCONDITIONAL",
        (_ID, _ADDRESS, ("inspected_on", "检验日期", "DATE", "", False)), ("id",),
    ),
    DemoDataset(
        "market", "complaints", "消费投诉公示", "Consumer complaints", "经核实的消费投诉公示信息。",
        "市场监管", "WEEKLY", "PUBLIC", "UNCONDITIONAL",
        (_ID, _NAME, ("received_on", "受理日期", "DATE", "", True)), ("id",),
    ),
)  # fmt: skip
