// Names, commands, numbers and answers in the pages of docs/learn are those of the sources and of the runs.

import { spawnSync } from 'node:child_process'
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { CommandUnknownOpts } from '@commander-js/extra-typings'
import { describe, expect, it, test } from 'vitest'
import { labAddress } from '../../jepsen-lite/commands/lab-address.ts'
import { readExercises } from '../../jepsen-lite/exercises/exercise.ts'
import { DIAGRAM_MS_MAX } from '../../jepsen-lite/lab/fold-views.ts'
import { Lab, labSchedule, parseLink, parseRunFile } from '../../jepsen-lite/lab/index.ts'
import { buildProgram as buildJepsenLite } from '../../jepsen-lite/main.ts'
import { readMutants } from '../../jepsen-lite/mutants/mutant.ts'
import { loadRule } from '../../jepsen-lite/wrong-rules/load-rule.ts'
import { buildProgram as buildQuorate } from '../../src/cli/program.ts'
import { LAB_PORT } from '../../src/console/lab-port.ts'
import { temporaryDirectory } from '../backup/samples.ts'
import { root } from './blocks.ts'

const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const PAGES = globSync('docs/learn/*.md', { cwd: root })
  .sort()
  .map((path) => ({ path, text: read(path) }))
/** The text of a page with its lines joined: a sentence may wrap. */
const joined = (page: string): string => read(`docs/learn/${page}.md`).replaceAll(/\s+/g, ' ')
/** Code within the sentences of a page. */
const codeIn = (text: string): readonly string[] =>
  [...text.replaceAll(/^ *```[\s\S]*?^ *```$/gm, '').matchAll(/`([^`]+)`/g)].map(([, code = '']) =>
    code.replaceAll(/\s+/g, ' '),
  )

describe('names', () => {
  const sources = [...globSync('src/raft/*.ts', { cwd: root }), 'docs/learn/three-rafts.ts']
    .map(read)
    .join('\n')

  it.each(PAGES.filter(({ path }) => /reading-the-core|figure-2/.test(path)))(
    'of $path are in the core',
    ({ text }) => {
      const names = codeIn(text).filter((code) => /^#?[a-zA-Z]\w+$/.test(code) && code !== 'file')
      expect(names.length).toBeGreaterThan(20)
      const missing = names.filter((name) => !new RegExp(`(?<![\\w#])${name}\\b`).test(sources))
      expect(missing).toEqual([])
    },
  )

  it.each(PAGES)('of files in $path are those of files', ({ path, text }) => {
    const files = codeIn(text).filter((code) => /^[\w./-]+(\/|\.ts|\.sh)$|^[\w-]+(\/[\w-]+)+$/.test(code))
    const folders = [root, join(root, dirname(path)), join(root, 'src/raft')]
    // `study/` and `web/dist-lab/` are what a command writes.
    const missing = files.filter(
      (file) => !/^study\/|dist-lab/.test(file) && !folders.some((folder) => existsSync(join(folder, file))),
    )
    expect(missing).toEqual([])
  })
})

// ---- commands

interface NamedCommand {
  readonly page: string
  readonly words: readonly string[]
}

const COMMANDS: readonly NamedCommand[] = PAGES.flatMap(({ path, text }) => {
  const inBlocks = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block = '']) => block.split('\n'))
  return [...codeIn(text), ...inBlocks]
    .map((code) => code.trim().split(' '))
    .filter(([program = '']) => ['npx', 'npm', 'node'].includes(program))
    .map((words) => ({ page: path, words }))
})

/** Complains about a command or a flag that the program does not have. */
function complaints(program: CommandUnknownOpts, [name = '', ...args]: readonly string[]): readonly string[] {
  const command = program.commands.find((each) => each.name() === name)
  if (command === undefined) return [`there is no command ${name}`]
  return command.exitOverride().parseOptions(args).unknown
}

test('each command that a page names is there, with its flags', async () => {
  const { scripts } = JSON.parse(read('package.json'))
  const programs = new Map([
    ['jepsen-lite', await buildJepsenLite([])],
    ['quorate', await buildQuorate([])],
  ])
  const wrong = COMMANDS.flatMap(({ page, words: [runner, ...words] }) => {
    const [first = '', ...rest] = words
    const missing = words.filter((word) => word.endsWith('.ts') && !existsSync(join(root, word)))
    if (runner === 'npm' && first === 'run' && !(rest[0] !== undefined && rest[0] in scripts))
      missing.push(...rest)
    const program = programs.get(first)
    if (program !== undefined && rest[0] !== 'help') missing.push(...complaints(program, rest))
    return missing.map((what) => `${page}: ${what}`)
  })
  expect(COMMANDS.length).toBeGreaterThan(12)
  expect(wrong).toEqual([])
})

test('each planted bug that a page names is there', () => {
  const named = COMMANDS.flatMap(({ words }) =>
    words.includes('--only') ? (words[words.indexOf('--only') + 1]?.split(',') ?? []) : [],
  )
  expect(named.length).toBeGreaterThan(1)
  expect(readMutants().map(({ id }) => id)).toEqual(expect.arrayContaining(named))
})

test('the files of the study that the course names are those that the study writes', () => {
  const [, out] = /study .*--out (\S+)`/.exec(joined('course')) ?? []
  const files = [...joined('course').matchAll(new RegExp(`\`${out}/([^\`]+)\``, 'g'))].map(([, file]) => file)
  expect(files.length).toBeGreaterThan(0)
  const writes = read('jepsen-lite/study/index.ts')
  expect(files.filter((file) => !writes.includes(`join(out, '${file}')`))).toEqual([])
})

test('each address of the lab has its port and a run', () => {
  const addresses = PAGES.flatMap(({ text }) => [...text.matchAll(/http:\/\/127\.0\.0\.1:(\d+)\/#(\S+)/g)])
  expect(addresses.length).toBeGreaterThan(0)
  for (const [, port, link = ''] of addresses) {
    expect(port).toBe(String(LAB_PORT))
    expect(() => parseLink(link)).not.toThrow()
  }
})

// ---- numbers

const WORDS = [
  'no',
  'one',
  'two',
  'three',
  'four',
  'five',
  'six',
  'seven',
  'eight',
  'nine',
  'ten',
  'eleven',
  'twelve',
]

test('numbers of the lab', () => {
  const { config } = labSchedule()
  const page = joined('lab')
  const nodesMax = Array.from({ length: 12 }, (_, at) => at + 1).findLast((nodes) =>
    isRun(`seed=1,nodes=${nodes}`),
  )
  expect(page).toContain(
    `A run lasts ${WORDS[config.ms / 60_000]} virtual minutes, with one to ${WORDS[nodesMax ?? 0]} nodes.`,
  )
  const { delayMs, jitterMs, writeMs, writeJitterMs } = config
  expect(page).toContain(
    `Messages take ${delayMs} to ${delayMs + jitterMs} ms and disks ${writeMs} to ${writeMs + writeJitterMs} ms`,
  )
  const [, messages] = /KEPT = \{ messages: (\d+)/.exec(read('jepsen-lite/lab/diagram-record.ts')) ?? []
  expect(page).toContain(
    `has the last ${WORDS[DIAGRAM_MS_MAX / 1000]} seconds, and at most ${messages} messages.`,
  )
  const clients = Array.from({ length: config.clients }, (_, at) => `\`c${at + 1}\``)
  expect(joined('writing-a-lesson')).toContain(
    `CLIENT is ${clients.slice(0, -1).join(', ')} or ${clients.at(-1)}.`,
  )
  const put = { at: 1, kind: 'put', client: 0, node: 'leader', key: 0, x: 41 } as const
  const { refusal = '' } = labAddress({ ...labSchedule(), ops: Array.from({ length: 500 }, () => put) }, 5)
  const [, most] = /more than (\d+):/.exec(refusal) ?? []
  expect(page).toContain(`longer than ${Number(most).toLocaleString('en')} characters has none`)
})

function isRun(link: string): boolean {
  try {
    return parseLink(link) !== undefined
  } catch {
    return false
  }
}

test('the size of the core', () => {
  const lines = globSync('src/raft/*.ts', { cwd: root }).flatMap((path) => read(path).trimEnd().split('\n'))
  const rounded = Math.round(lines.length / 500) * 500
  expect(joined('reading-the-core')).toContain(
    `The core (\`src/raft\`) is ${rounded.toLocaleString('en')} lines.`,
  )
})

// ---- the program with three replicas

/** Output of the program with another random function, in a minute of virtual time. */
function printed(random: string): string {
  const path = join(temporaryDirectory(), 'three-rafts.ts')
  const program = read('docs/learn/three-rafts.ts')
    .replaceAll("from '../../", `from '${root}/`)
    .replace(/random: \(\) => .*,/, `${random},`)
    .replace('while (', 'while (now < 60_000 && ')
  expect(program).toContain(random)
  writeFileSync(path, program)
  const { stdout, stderr } = spawnSync(process.execPath, [path], { encoding: 'utf8' })
  expect(stderr).toBe('')
  return stdout
}

describe('three replicas', () => {
  const page = joined('reading-the-core')

  it('with the timeouts of the program: the shortest campaigns first', () => {
    const [, shortest] = /replica (\d) has the shortest/.exec(page) ?? []
    expect(/n(\d): pre-candidate/.exec(printed('random: () => Number(id) / 10'))?.[1]).toBe(shortest)
  })

  it('with the variant of the page elect no leader', () => {
    const [, random = ''] = /`(random: [^`]+)`\. No leader is ever elected\./.exec(page) ?? []
    const output = printed(random)
    expect(output).toMatch(/n3: candidate in term \d+/)
    expect(output).not.toContain(': leader')
  })
})

test('the voter that refuses n1 in the transcript of figure 7 has a newer log, as the page says', () => {
  const transcript = read('test/raft/golden/a-new-leader-repairs-the-seven-logs-of-figure-7.golden')
  const lastTerm = (node: string): string | undefined =>
    new RegExp(`^\\| ${node} follower@\\d+ log=.*@(\\d+) commit`, 'm').exec(transcript)?.[1]
  expect(joined('reading-the-core')).toContain(
    `**The vote of n5 (2).** Its log ends in term ${lastTerm('n5')}, that of n1 in term ${lastTerm('n1')}.`,
  )
})

test('the notation of a log is explained by entries of the transcript', () => {
  const page = joined('reading-the-core')
  const [, first, last, term, ...explained] =
    /`(\d+)-(\d+)@(\d+)` are the entries (\d+) and (\d+) of term (\d+)/.exec(page) ?? []
  expect(explained).toEqual([first, last, term])
  expect(read('test/raft/golden/a-new-leader-repairs-the-seven-logs-of-figure-7.golden')).toContain(
    ` ${first}-${last}@${term} `,
  )
})

// ---- the course

describe('the course', () => {
  const page = joined('course')
  const exercises = readExercises()

  it('has each exercise in one evening', () => {
    const named = [...page.matchAll(/(?:[Ee]xercises?|numbers) (\d+)(?: (to|and) (\d+))?/g)].map(
      ([, first, word, last = first]) => ({ first: Number(first), word, last: Number(last) }),
    )
    const inTable = named.filter(({ word }) => word === 'to').slice(0, 2)
    const inSteps = named.filter((range) => !inTable.includes(range))
    const numbers = (ranges: typeof named): readonly number[] =>
      ranges.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, at) => first + at))
    const all = exercises.map(({ number }) => number)
    expect([numbers(inTable), numbers(inSteps)]).toEqual([all, all])
  })

  it('says what an exercise is about', () => {
    const about = (number: number): string => {
      const { title, why } = exercises[number - 1] ?? expect.fail(`no exercise ${number}`)
      return `${title} ${why}`.toLowerCase()
    }
    const [, number, figure] = /Number (\d+) is (figure \d+)/.exec(page) ?? []
    expect(exercises[Number(number) - 1]?.title.toLowerCase()).toBe(figure)
    const subjects = [
      ...page.matchAll(/\*\*(Disk|Read|Member)s\*\* \(\d+ minutes\)\..*?[Ee]xercises? (\d+)(?: and (\d+))?/g),
    ]
    expect(subjects).toHaveLength(3)
    for (const [, subject = '', ...numbers] of subjects)
      for (const each of numbers.filter(Boolean))
        expect(about(Number(each))).toContain(subject === 'Member' ? 'configuration' : subject.toLowerCase())
  })
})

test('figure 8 in the lab: the nodes that the page names are those of the run', async () => {
  const { schedule } = parseRunFile(read('docs/learn/lessons/runs/commit-of-earlier-term.txt'))
  await loadRule(schedule.rule)
  const lab = new Lab(schedule)
  lab.runTo(schedule.config.ms)
  const { violation = '', notes } = lab.view()
  const [, second, index] = /^RAFT-10: (n\d) hands out (\d+) /.exec(violation) ?? []
  const first = notes.find(({ text }) =>
    new RegExp(`^Entry ${index}( \\(.*\\))? is committed`).test(text),
  )?.node
  expect(joined('lab')).toContain(
    `figure 8 of the paper: ${second} overwrites an entry that ${first} has committed`,
  )
  expect(joined('lab')).toContain(`its entry ${index} replaces one that ${first} has committed`)
})
