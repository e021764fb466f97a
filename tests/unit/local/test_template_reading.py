import json
from pathlib import Path
from typing import Any

import pytest

from treadle.local.errors import TemplateError
from treadle.local.template.reading import Template, find_template, read_template
from treadle.local.template.resolve import Surrounding

HERE = Surrounding("app")


class Made:
    """Resources as if they were made: Ref gives `name-ref`, an attribute `name-attribute`."""

    def ref(self, name: str) -> str:
        if name.startswith("No"):
            raise KeyError(name)
        return f"{name}-ref"

    def attribute(self, name: str, attribute: str) -> str:
        if attribute == "Nothing":
            raise TemplateError(f"Fn::GetAtt {name}.{attribute}: there is no such attribute.")
        return f"{name}-{attribute}"


def write(folder: Path, text: str, name: str = "template.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def read(folder: Path, text: str, **given: str) -> Template:
    return read_template(write(folder, text), HERE, given)


def meant(folder: Path, value: str, more: str = "", **given: str) -> Any:
    """What a value means as the property of a resource beside two others, A and B."""
    template = read(
        folder,
        f"Resources:\n  A: {{Type: T}}\n  B: {{Type: T}}\n  X:\n    Type: T\n    Properties:\n      V: {value}\n{more}",
        **given,
    )
    declared = next(each for each in template.resources if each.name == "X")
    return template.properties(declared, Made()).get("V")


PARAMETERS = """
Parameters:
  Name: {Type: String, Default: orders}
  Zones: {Type: CommaDelimitedList, Default: 'a, b,c'}
  Size: {Type: Number, Default: 3}
Mappings:
  Sizes: {us-east-1: {small: 1, list: [x, y]}}
Conditions:
  Large: !Equals [!Ref Size, 3]
  Small: !Not [!Condition Large]
  Both: !And [!Condition Large, !Condition Small]
  Either: !Or [!Condition Large, !Condition Small]
"""

VALUES = [
    ("!Ref Name", "orders"),
    ("!Ref A", "A-ref"),
    ("!Ref AWS::Region", "us-east-1"),
    ("!Ref AWS::StackName", "app"),
    ("!Ref Zones", ["a", "b", "c"]),
    ("{Ref: Size}", "3"),
    ("!Ref AWS::NoValue", None),
    ("[1, !Ref AWS::NoValue, 2]", [1, 2]),
    ("!GetAtt A.Arn", "A-Arn"),
    ("!GetAtt [A, Stream.Arn]", "A-Stream.Arn"),
    ("{Fn::GetAtt: A.Arn}", "A-Arn"),
    ("!Sub '${Name}-${A}-${B.Arn}-${!Kept}'", "orders-A-ref-B-Arn-${Kept}"),
    ("!Sub ['${x}-${Name}', {x: !GetAtt A.Arn}]", "A-Arn-orders"),
    ("!Sub ['${x}', {x: '${!y}'}]", "${!y}"),
    ("!Join ['-', [a, !Ref Name, 1, true]]", "a-orders-1-true"),
    ("!Join [',', !Ref Zones]", "a,b,c"),
    ("!Select [1, !Ref Zones]", "b"),
    ("!Select ['0', !GetAZs '']", "us-east-1a"),
    ("!Split ['|', 'a|b']", ["a", "b"]),
    ("!FindInMap [Sizes, !Ref AWS::Region, small]", 1),
    ("!FindInMap [Sizes, nowhere, small, {DefaultValue: 9}]", 9),
    ("!Base64 abc", "YWJj"),
    ("!Cidr [10.0.0.0/16, 2, 8]", ["10.0.0.0/24", "10.0.1.0/24"]),
    ("!If [Large, a, b]", "a"),
    ("!If [Small, a, !Ref AWS::NoValue]", None),
    ("!If [Both, a, b]", "b"),
    ("!If [Either, a, b]", "a"),
    ("{Fn::Length: !Ref Zones}", 3),
    ("{Fn::ToJsonString: {a: !Ref Name}}", '{"a":"orders"}'),
    ("2012-10-17", "2012-10-17"),
    ("yes", True),
    ("007", 7),
]


@pytest.mark.parametrize(("value", "result"), VALUES)
def test_a_value_means_what_cloudformation_says(tmp_path: Path, value: str, result: Any) -> None:
    assert meant(tmp_path, value, PARAMETERS) == result


FAULTS = [
    ("!Ref Nothing", "template.yaml:4: Resources.X: Ref Nothing: there is no such parameter or resource"),
    ("!GetAtt A.Nothing", "Resources.X: Fn::GetAtt A.Nothing: there is no such attribute"),
    ("!Sub '${Nope}'", "Ref Nope"),
    ("!FindInMap [Sizes, us-east-1, large]", "there is no 'large' in Mappings"),
    ("!ImportValue other-stack", "--parameter"),
    ("!If [Maybe, a, b]", "there is no condition 'Maybe'"),
    ("!Select [7, !Ref Zones]", "the list has the items 0 to 2"),
    ("!Join ['-', text]", "Fn::Join needs a list"),
    ("!Sub '${Zones}'", "Fn::Sub joins text"),
    ("!Cidr [10.0.0.0/30, 9, 1]", "has only"),
    ("{Fn::Nonsense: 1}", "Fn::Nonsense is no intrinsic function"),
]


@pytest.mark.parametrize(("value", "message"), FAULTS)
def test_a_value_that_means_nothing_is_refused_with_place_and_remedy(tmp_path: Path, value: str, message: str) -> None:
    with pytest.raises(TemplateError) as error:
        meant(tmp_path, value, PARAMETERS)
    assert message in str(error.value).replace("Resources.X.Properties.V", "Resources.X")


TEXTS = [
    ("Resources: [", "this is no YAML"),
    ("- a", "a template is an object"),
    ("Resources: {A: {Type: T}, A: {Type: T}}", "for the second time"),
    ("Resources: {}", "at least one resource"),
    ("Resources: {A: {}}", "a resource has a Type"),
    ("Resources: {A: {Type: T}}\nResourses: {}", "no section 'Resourses'"),
    ("Resources: {A: {Type: T}}\nTransform: MyMacro", "MyMacro is a macro"),
    ('{"Resources" {}}', "this is no JSON"),
    ("Resources: {A: {<<: {Type: T}}}", "merge key"),
    ("Resources: {A: {Type: T, Properties: {V: !GetAtt A}}}", "A.Arn"),
    (
        "Resources: {A: {Type: T, Properties: {V: !Ref B}}, B: {Type: T, Properties: {V: !Ref A}}}",
        "Circular dependency between resources: ",
    ),
    ("Resources: {A: {Type: AWS::Lambda::Function, Properties: {Code: missing}}}", "Code 'missing'"),
    (
        "Transform: AWS::Serverless-2016-10-31\nResources: {A: {Type: AWS::Serverless::Function}}",
        "[A]",
    ),
    (
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(
            f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
            for before, name in zip("abcdef", "bcdefg", strict=True)
        ),
        "more than 200,000 values",
    ),
]


@pytest.mark.parametrize(("text", "message"), TEXTS)
def test_text_that_is_no_template_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(TemplateError) as error:
        read(tmp_path, text)
    assert message in str(error.value)


def test_all_that_is_wrong_with_parameters_is_told_at_once(tmp_path: Path) -> None:
    text = """
Parameters:
  Stage: {Type: String, AllowedValues: [dev, prod]}
  Size: {Type: Number, MinValue: 1, Default: 1}
  Secret: {Type: String, NoEcho: true, MinLength: 8}
  Lost: {Type: String}
Resources: {A: {Type: T}}
"""
    with pytest.raises(TemplateError) as error:
        read(tmp_path, text, Stage="test", Size="0", Secret="short", Other="x")
    findings = "\n".join(error.value.findings)
    assert len(error.value.findings) == 5
    assert "'test' is none of dev, prod" in findings
    assert "'0' is below the MinValue of 1" in findings
    assert "no parameter 'Other'" in findings
    assert "Lost: the parameter has no Default" in findings
    assert "short" not in findings


def test_a_parameter_of_systems_manager_is_looked_up(tmp_path: Path) -> None:
    text = """
Parameters:
  Url: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /app/url}
Resources: {A: {Type: T, Properties: {V: !Ref Url}}}
"""
    template = read_template(write(tmp_path, text), HERE, {}, {"/app/url": "http://x"}.get)
    assert template.properties(template.resources[0], Made()) == {"V": "http://x"}
    with pytest.raises(TemplateError, match="names a parameter of Systems Manager that does not exist"):
        read_template(write(tmp_path, text), HERE)


def test_resources_come_after_what_they_need(tmp_path: Path) -> None:
    text = """
Conditions: {Never: !Equals [a, b]}
Resources:
  Last: {Type: T, DependsOn: [Middle, Gone], Properties: {V: !Sub '${First.Arn}'}}
  Middle: {Type: T, Properties: {V: !If [Never, !Ref Gone, !Ref First]}}
  First: {Type: T}
  Gone: {Type: T, Condition: Never}
Outputs:
  Kept: {Value: !GetAtt Last.Arn}
  Left: {Condition: Never, Value: !Ref Gone}
"""
    template = read(tmp_path, text)
    assert [each.name for each in template.resources] == ["First", "Middle", "Last"]
    assert [each.name for each in template.outputs] == ["Kept"]


def test_serverless_resources_keep_the_way_to_their_code(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "app.py").write_text("def handler(event, context): return event\n")
    (tmp_path / "m.asl.json").write_text("{}")
    text = """
Transform: AWS::Serverless-2016-10-31
Globals: {Function: {CodeUri: code, Runtime: python3.11}}
Resources:
  F: {Type: AWS::Serverless::Function, Properties: {Handler: app.handler}}
  M: {Type: AWS::Serverless::StateMachine, Properties: {DefinitionUri: m.asl.json, Role: arn}}
"""
    template = read(tmp_path, text)
    found = {each.name: each.properties for each in template.resources}
    assert found["F"]["Code"]["LocalPath"] == str(tmp_path / "code")
    assert found["M"]["DefinitionS3Location"]["LocalPath"] == str(tmp_path / "m.asl.json")
    before = found["F"]["Code"]["Fingerprint"]
    (tmp_path / "code" / "app.py").write_text("def handler(event, context): return 1\n")
    again = {each.name: each.properties for each in read(tmp_path, text).resources}
    assert again["F"]["Code"]["Fingerprint"] != before
    assert again["M"] == found["M"]


def test_a_part_of_the_template_may_stand_in_another_file(tmp_path: Path) -> None:
    write(tmp_path, "V: !Ref A\nW: 1\n", "part.yaml")
    text = """
Resources:
  X: {Type: T, Properties: {Fn::Transform: {Name: AWS::Include, Parameters: {Location: part.yaml}}, U: 2}}
  A: {Type: T}
"""
    template = read(tmp_path, text)
    assert [each.name for each in template.resources] == ["A", "X"]
    assert template.properties(template.resources[1], Made()) == {"V": "A-ref", "W": 1, "U": 2}


def test_a_loop_is_written_out(tmp_path: Path) -> None:
    text = """
Transform: AWS::LanguageExtensions
Parameters: {Names: {Type: CommaDelimitedList, Default: 'one,t.wo'}}
Resources:
  Fn::ForEach::Topics:
    - Name
    - !Ref Names
    - 'Topic&{Name}': {Type: T, Properties: {V: !Ref Name, W: !Sub 'x-${Name}'}}
"""
    template = read(tmp_path, text)
    assert {each.name: template.properties(each, Made()) for each in template.resources} == {
        "Topicone": {"V": "one", "W": "x-one"},
        "Topictwo": {"V": "t.wo", "W": "x-t.wo"},
    }


def test_json_and_yaml_say_the_same(tmp_path: Path) -> None:
    value = {"Resources": {"A": {"Type": "T", "Properties": {"V": {"Fn::GetAtt": ["B", "Arn"]}}}, "B": {"Type": "T"}}}
    path = write(tmp_path, json.dumps(value, indent="\t"), "template.json")
    template = read_template(find_template(tmp_path), HERE)
    assert find_template(tmp_path) == path
    assert [each.name for each in template.resources] == ["B", "A"]
    with pytest.raises(TemplateError, match=r"template\.json"):
        find_template(tmp_path / "..")
