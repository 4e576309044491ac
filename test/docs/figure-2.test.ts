// docs/learn/figure-2.md leads from the rules of the paper's figure 2 to lines of src/raft, and back. Both tables fit
// the sources as they are now.

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const core = join(root, 'src/raft')
const page = readFileSync(join(root, 'docs/learn/figure-2.md'), 'utf8')

/** The file and the function, member or type. */
type Place = `[${string}] \`${string}\``

interface RuleRow {
  readonly rule: string
  readonly place: Place
  readonly words: string
  readonly source: string
  /** The decision that is reported there; empty: none. */
  readonly decision: string
}

const RULES = [
  ...page.matchAll(/^\| ([A-Z]{2}-\d) ([^|]+) \| ([^|]+) \| `([^|]+)` \| (?:`([\w-]+)` )?\|$/gm),
].map(
  ([, rule, words, place, source, decision = '']) => ({ rule, words, place, source, decision }) as RuleRow,
)
const BACK = [...page.matchAll(/^\| (\[\S+\.ts\] `\S+`) \|([^|]*)\|([^|]*)\|$/gm)].map(
  ([, place, sections = '', rules = '']) => `${place}: ${sections.trim()}: ${rules.trim()}`,
)

const TOP = /^(?:export )?(?:async )?(?:function|class|interface|const|type) (\w+)/
const MEMBER = /^ {2}(?:readonly |get |set |async )*(#?\w+)(?=[(:=<]| =)/

/** The source by place. A comment belongs to the declaration after it, the first one of a file to the file. */
function placesOf(file: string): ReadonlyMap<Place, string> {
  const texts = new Map<Place, string>()
  let [inClass, comment, isHead] = [false, '', true]
  let place: Place = `[${file}] \`file\``
  const add = (text: string): unknown => texts.set(place, `${texts.get(place) ?? ''}${text}`)
  for (const line of readFileSync(join(core, file), 'utf8').split('\n')) {
    if (/^ {0,3}(\/\/|\/?\*)/.test(line)) {
      comment += `${line.replace(/^ *(\/\/|\/?\*+)/, '')}`
      continue
    }
    if (line === '') {
      if (isHead) {
        add(comment)
        comment = ''
        isHead = false
      }
      continue
    }
    const top = TOP.exec(line)?.[1]
    const name = top ?? (inClass ? MEMBER.exec(line)?.[1] : undefined)
    if (top !== undefined) inClass = / class /.test(` ${line}`)
    if (name !== undefined) place = `[${file}] \`${name}\``
    add(`${comment}${line}\n`)
    comment = ''
  }
  return texts
}

const PLACES = new Map(
  globSync('*.ts', { cwd: core })
    .sort()
    .flatMap((file) => [...placesOf(file)]),
)

const occurrences = (text: string, part: string): number => text.split(part).length - 1

test('the source of each rule occurs once in its function', () => {
  expect(new Set(RULES.map(({ rule }) => rule)).size).toBeGreaterThan(25)
  // The pattern of a rule has skipped no line of the table.
  expect(page.match(/^\| [A-Z]{2}-/gm)).toHaveLength(RULES.length)
  const counts = RULES.map(({ place, source }) => [
    place,
    source,
    occurrences(PLACES.get(place) ?? '', source),
  ])
  expect(counts.filter(([, , count]) => count !== 1)).toEqual([])
})

test('the way back has each function with a rule, and each comment that cites the paper', () => {
  const expected = [...PLACES].flatMap(([place, text]) => {
    const cited = [...text.matchAll(/[Pp]aper\s+(§[\d.]*\d(?:, §[\d.]*\d)*|figure 2)/g)]
    const sections = [...new Set(cited.flatMap(([, found = '']) => found.split(', ')))].join(', ')
    const rules = RULES.filter((row) => row.place === place).map(({ rule }) => rule)
    const isListed = sections !== '' || rules.length > 0
    return isListed ? [`${place}: ${sections}: ${[...new Set(rules)].join(', ')}`] : []
  })
  expect(BACK).toEqual(expected)
})

/** Variables of the figure, by their names in the core. */
const VARIABLES = { nextIndex: /\bnext\b/, matchIndex: /\bmatch\b/, 'commit index': /\bcommit/ }

test('a rule about a variable of the figure leads to a line that has it', () => {
  const rows = Object.entries(VARIABLES).flatMap(([name, pattern]) =>
    RULES.filter(({ words }) => words.includes(name)).map((row) => ({ ...row, pattern })),
  )
  expect(rows.length).toBeGreaterThan(6)
  expect(rows.filter(({ source, pattern }) => !pattern.test(source))).toEqual([])
})

/** Decisions that a function reports, by itself or by a function that it calls: the nearest to the source is first. */
function decisionsNear({ place, source }: RuleRow): readonly string[] {
  const file = place.slice(0, place.indexOf(' '))
  const lines = (PLACES.get(place) ?? '').split('\n')
  const at = lines.findIndex((line) => line.includes(source))
  // The later one of two lines at the same distance follows from the source.
  const distance = (number: number): number => (number < at ? at - number + 0.5 : number - at)
  const found = lines.map((line, number) => {
    const called = [...line.matchAll(/this\.(#\w+)\(/g)].map(([, name]) => `${file} \`${name}\`` as Place)
    const text = [line, ...called.map((name) => PLACES.get(name))].join('\n')
    return {
      kinds: [...text.matchAll(/kind: '([\w-]+)'/g)].map(([, kind = '']) => kind),
      away: distance(number),
    }
  })
  return found.toSorted((a, b) => a.away - b.away).flatMap(({ kinds }) => kinds)
}

test('the decision of a rule is the one that is reported nearest to its line', () => {
  const rows = RULES.filter(({ decision }) => decision !== '')
  expect(rows.length).toBeGreaterThan(10)
  expect(rows.map((row) => ({ rule: row.rule, decision: decisionsNear(row)[0] }))).toEqual(
    rows.map(({ rule, decision }) => ({ rule, decision })),
  )
})

test('each file that the page names is linked', () => {
  const named = new Set([...page.matchAll(/\[([\w-]+\.ts)\] /g)].map(([, file = '']) => file))
  const links = [...page.matchAll(/^\[(.+)\]: \.\.\/\.\.\/src\/raft\/(.+)$/gm)]
  expect(links.map(([, name = '', file]) => (name === file ? name : file))).toEqual([...named].sort())
})

test('each decision that the core reports is named once or more', () => {
  const [, decisions = ''] = readFileSync(join(core, 'types.ts'), 'utf8').split('export type Decision =')
  const kinds = [...(decisions.split('\n// ---')[0] ?? '').matchAll(/readonly kind: '([\w-]+)'/g)].map(
    ([, kind]) => `\`${kind}\``,
  )
  expect(kinds.length).toBeGreaterThan(5)
  expect(kinds.filter((kind) => !page.includes(kind))).toEqual([])
})
