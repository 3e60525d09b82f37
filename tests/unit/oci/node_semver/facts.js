// Writes facts.json anew: what npm's own semver says of ranges and versions. Run where npm is:
//   node tests/unit/oci/node_semver/facts.js "$(npm root -g)/npm/node_modules/semver" > tests/unit/oci/node_semver/facts.json
'use strict'
const semver = require(process.argv[2])
const versions = [
  '0.0.0', '0.0.1', '0.0.2', '0.1.0', '0.1.5', '0.2.0', '1.0.0', '1.0.0-alpha', '1.0.0-alpha.1', '1.0.0-alpha.beta',
  '1.0.0-rc.1', '1.0.1', '1.1.0', '1.2.0', '1.2.3', '1.2.3-beta', '1.2.3-beta.2', '1.2.3-beta.10', '1.2.4', '1.2.4-rc.1',
  '1.3.0', '1.3.0-rc.1', '1.4.0', '1.10.0', '1.27.3', 'v1.28.0', '2.0.0', '2.0.0-rc.1', '2.0.0-0', '2.1.0', '2.3.4', '3.0.0',
  '3.0.0-beta.1', '10.0.0', '9007199254740991.0.0', '1.2', '01.2.3', '1.2.3.4', '1.2.3-01', 'v', '1.2.3-', 'x',
]
const operands = ['1', '1.2', '1.2.3', '0', '0.0', '0.0.1', '0.1', '1.x', '1.2.x', '1.X.x', '1.*', 'x', '*', 'v1', 'v1.2', 'v1.2.3',
  '1.2.3-beta.2', '1.0.0-rc.1', '2', '2.0.0-0', '01', '1.x.3', 'x.1', '1.2.x-beta', '=1.2', 'vv1.2.3', '1.2.3+build', '0.0.0', '0.1.0-a']
const ranges = new Set(['', ' ', '||', '1 || 3', '1||3', '^1 || ~2.1', '1.x || >=2.5.0 || 5.0.0 - 7.2.3', '<2', '< 2', '>= 1.4', '^ 1.2',
  '~> 1', '~>1', '~> 1.2.3', '^v1.2', '~v1.2', '~ v1.2', '^ v1', '1.0.0 - x', '1 - 2', '1.2 - 2.3.4', '1.2.3 - 2', '1.2.3 - 2.3',
  '1.2.3-beta - 2.0.0-rc.1', 'x - 2', '* - *', '1.0.0-2.0.0', '1.0.0 -2.0.0', '1.2.3  -  2.3.4', '>=1.2 <1.10', '> 1.2 < 1.10',
  '>=1.2.3-beta <1.2.4', '>1.2.3 <1.2.3', '>=1 <x', '<x', '>*', '>=*', '<=*', '=*', '>=0.0.0', '>=0.0.0-0', '>=2.0.0-rc.1', '<2.0.0-rc.1',
  '<=2.0.0-rc.1 >1', '^2.0.0-rc.1', '~2.0.0-rc.1', '1.2.3 1.2.3', '* 1.2.3', '1.2.3 *', '<0.0.0-0', 'latest', 'abc', '^', '~', '>', '>=',
  '1.2.3.4', '>=1.2 <', '!1', '^^1', '~^1', '>>1', '=>1', '=<1', '1,2', '1;2', 'v', '=', 'v1.x', '== 1.2.3', '1.2.3 || abc', 'abc || 1',
  '^9007199254740991', '^9007199254740992', '>9007199254740990', '1.2.3+b.1 || 2.0.0+c', '>=1.2.3+b', '~1.2.3+b', '^1.2.3 <1.3.0', '1.2.3\t||\n2',
  '\u00a01.2.3', '1.2.3-01', '>=1.0.0-alpha', '>1.0.0-alpha', '<1.0.0-alpha.beta', '<=1.0.0', '^0.0', '^0', '~0', '~0.0', '^0.x', '^0.0.x'])
for (const operand of operands) {
  for (const relation of ['', '<', '<=', '>', '>=', '=', '^', '~', '~>', '< ', '>= ', '> ', '^ ', '~ ', '<= v', '= ']) ranges.add(relation + operand)
  for (const other of ['2', '2.x', '1.2.3', 'x', '2.0.0-rc.1', 'v2.0']) ranges.add(`${operand} - ${other}`)
}
const facts = {}
for (const range of ranges) {
  const valid = semver.validRange(range) !== null
  facts[range] = valid ? versions.filter(version => semver.satisfies(version, range)) : null
}
const valid = versions.filter(version => semver.valid(version) !== null)
const version = require(process.argv[2] + '/package.json').version
const lines = Object.entries(facts).map(([range, matching]) => `${JSON.stringify(range)}:${JSON.stringify(matching)}`)
const head = { version, versions, ordered: semver.sort(valid) }
console.log(`${JSON.stringify(head).slice(0, -1)},"facts":{\n${lines.join(',\n')}\n}}`)
