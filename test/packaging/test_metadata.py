"""package.xml, pyproject.toml, CMakeLists.txt and the messages say the same."""

import importlib
import re

import videomt_ros


def test_package_xml_is_valid(package_xml):
    warnings: list[str] = []
    package_xml.validate(warnings)
    assert warnings == []
    assert package_xml.package_format == 3
    assert package_xml.get_build_type() == 'ament_cmake'


def test_both_metadata_files_agree(package_xml, pyproject):
    project = pyproject['project']
    assert package_xml.name == project['name'] == videomt_ros.__name__
    assert package_xml.version == videomt_ros.__version__
    assert package_xml.description == project['description']
    assert [str(name) for name in package_xml.licenses] == [project['license']]


def test_licence_text_is_the_one_declared(checkout, package_xml):
    text = (checkout / package_xml.licenses[0].file).read_text()
    assert 'Apache License' in text and 'Version 2.0, January 2004' in text


def test_changelog_has_the_version(checkout, package_xml):
    heading = re.compile(rf'^{re.escape(package_xml.version)} \(.+\)\n-+$', re.MULTILINE)
    assert heading.search((checkout / 'CHANGELOG.rst').read_text())


def test_every_message_is_generated(checkout):
    listed = re.findall(r'"(msg/\w+\.msg)"', (checkout / 'CMakeLists.txt').read_text())
    assert listed == sorted(f'msg/{path.name}' for path in checkout.glob('msg/*.msg'))


def test_packages_of_message_fields_are_declared(checkout, package_xml):
    used = {package for path in checkout.glob('msg/*.msg')
            for package in re.findall(r'^(\w+)/\w+', path.read_text(), re.MULTILINE)}
    in_cmake = re.search(r'set\(_message_packages ([\w ]+)\)',
                         (checkout / 'CMakeLists.txt').read_text())
    assert in_cmake and used == set(in_cmake[1].split())
    assert used <= {depend.name for depend in package_xml.build_depends}
    assert used <= {depend.name for depend in package_xml.exec_depends}


def test_cmake_reads_every_program(checkout, programs):
    pattern = re.search(r'set\(_program_line "(.+)"\)', (checkout / 'CMakeLists.txt').read_text())
    assert pattern
    lines = (checkout / 'pyproject.toml').read_text().splitlines()
    read = {found[1]: f'{found[2]}:{found[3]}' for line in lines
            if (found := re.match(pattern[1], line))}
    assert read == programs


def test_programs_have_their_functions(programs):
    for name, place in programs.items():
        module, function = place.split(':')
        assert callable(getattr(importlib.import_module(module), function)), name
