"""A made-up city's directory: datasets with the words, fields and skew of real ones, the same at every run."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime

from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza.common.v1 import contract_pb2
from plaza_catalogue.storage.datasets import Change, New
from plaza_kit.names import DatasetId, DatasetName, DepartmentId

DEPARTMENTS = 60


def _list(texts: str) -> list[str]:
    return texts.split("|")


_OFFICES = (
    "生态环境局 Ecology|交通运输局 Transport|医疗保障局 Medical Insurance|卫生健康委 Health|教育局 Education|"
    "水务局 Water|公安局 Police|民政局 Civil Affairs|住房城乡建设局 Housing|市场监督管理局 Market|"
    "文化旅游局 Culture|农业农村局 Agriculture|应急管理局 Emergency|气象局 Weather|统计局 Statistics"
)
_SUBJECTS = (
    "空气质量 air quality|河流水位 river level|医保结算 medical insurance|公交线路 bus routes|地铁客流 metro ridership|"
    "学校名录 schools|医院床位 hospital beds|停车泊位 parking|企业登记 company register|房屋租赁 housing rental|"
    "食品抽检 food inspection|景区客流 visitors|降雨量 rainfall|噪声监测 noise|垃圾清运 waste|"
    "燃气安全 gas safety|养老机构 elderly care|公园绿地 parks|道路养护 road upkeep|"
    "用电量 electricity|供水管网 water mains|"
    "不动产登记 land register|婚姻登记 marriage register|疫苗接种 vaccination|"
    "消防检查 fire inspection|土壤污染 soil pollution|共享单车 shared bicycles|"
    "行政许可 permits|行政处罚 penalties|社区服务 community services"
)
_PLACES = _list("东城|西城|海淀|朝阳|丰台|石景山|通州|顺义|昌平|大兴|怀柔|平谷|密云|延庆|门头沟|房山")
_KINDS = (
    "小时监测数据 hourly data|日报数据 daily report|月度统计 monthly statistics|年度汇总 yearly summary|名录 list|"
    "明细数据 details|台账 ledger|指标数据 indicators|空间位置 locations|开放数据 open data"
)
_FIELDS = (
    "编号 id|名称 name|地址 address|经度 longitude|纬度 latitude|日期 date|时间 time|数值 value|单位 unit|状态 status|"
    "负责人 owner|联系电话 phone|类型 type|等级 grade|"
    "面积 area|金额 amount|数量 count|站点 station|区划代码 division|备注 remark"
)
_CATEGORIES = _list(
    "生态环境|交通运输|医疗卫生|教育科技|社会民生|城建住房|"
    "市场监管|文化休闲|农业农村|安全生产|气象服务|经济建设"
)
_FORMATS = _list("CSV|XLSX|JSON|XML|SHP|API")
_LICENCES = _list("CC-BY-4.0|CC0-1.0|ODbL-1.0")
_RARE = _list("鹦鹉|珊瑚|琥珀|蓝藻|芦苇|麋鹿|鲟鱼|银杏")
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def _pairs(texts: str) -> list[tuple[str, str]]:
    return [(zh, en) for zh, _, en in (each.partition(" ") for each in texts.split("|"))]


SUBJECTS, KINDS, FIELDS, OFFICES = (_pairs(texts) for texts in (_SUBJECTS, _KINDS, _FIELDS, _OFFICES))


def departments() -> list[tuple[DepartmentId, str, str]]:
    """Id, Chinese name, English name."""
    made = []
    for number in range(DEPARTMENTS):
        zh, en = OFFICES[number % len(OFFICES)]
        place = _PLACES[number // len(OFFICES)]
        made.append((DepartmentId(f"bench-{number:02}"), f"{place}{zh}", f"{en} {number}"))
    return made


def datasets(count: int) -> Iterator[New]:
    """New datasets with their first contract."""
    draw = random.Random(20260101)
    owners = departments()
    for number in range(count):
        # A few departments own most of a directory.
        department, provider, _ = owners[min(int(draw.expovariate(0.08)), len(owners) - 1)]
        name = DatasetName(department, DatasetId(f"d{number:06}"))
        made = _dataset(draw, number)
        made.name, made.provider, made.provider_code = str(name), provider, department
        change = Change("bench", "bench", _EPOCH, 1, ["display_name"], f"{number:016x}")
        yield New(name, made, change, date(2026, 1, 1))


def _dataset(draw: random.Random, number: int) -> pb.Dataset:
    (subject, subject_en), (kind, kind_en) = draw.choice(SUBJECTS), draw.choice(KINDS)
    place = draw.choice(_PLACES)
    other = draw.choice(SUBJECTS)[0]
    made = pb.Dataset(
        display_name=f"{place}区{subject}{kind}{number}",
        display_name_en=f"{subject_en.capitalize()}, {kind_en} {number}",
        description=f"{place}区各街道{subject}的{kind}，与{other}数据关联，由业务系统按期汇总形成。",
        category=draw.choice(_CATEGORIES),
        code=f"bench/{number:06}",
        format=draw.choices(_FORMATS, (50, 25, 10, 5, 5, 5))[0],
        licence=draw.choice(_LICENCES),
        update_cycle=draw.choice([each for each in pb.UpdateCycle.values() if each]),
        keywords=[subject, draw.choice(_PLACES), *(draw.sample(_RARE, 1) if draw.random() < 0.002 else ())],
        city_level=draw.choice((1, 2, 3)),
        contract=contract_pb2.Contract(key=["id"]),
    )
    setattr(made.sharing, "class", draw.choice((1, 2, 3)))
    for zh, en in [FIELDS[0], *draw.sample(FIELDS[1:], 7)]:
        made.contract.fields.add(name=en, source_name=zh, title=zh, type=contract_pb2.FIELD_TYPE_STRING)
    return made
