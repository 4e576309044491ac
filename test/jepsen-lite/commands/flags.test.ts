// Flags are refused before anything runs, not taken for something else.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { list, whole } from '../../../jepsen-lite/commands/flags.ts'
import { buildProgram } from '../../../jepsen-lite/main.ts'
import { blocksOf } from '../../docs/blocks.ts'
import { runCommand } from './run-command.ts'

const ON_THE_PAGE = blocksOf('docs/reference/jepsen-lite.md').map(({ text }) => text.trim().split(' '))

/** `[--only M01,K1]` may be left out. */
const isFlag = (word: string): boolean => /^\[?--?\w/.test(word)

test.each(ON_THE_PAGE)(
  '%s %s %s: the reference shows flags that there are',
  async (_, program, name = '', ...words) => {
    const [command] = (await buildProgram([name])).commands
    expect([program, command?.name()]).toEqual(['jepsen-lite', name])
    const flags = words.filter(isFlag).map((word) => word.replaceAll(/[[\]]/g, ''))
    expect(
      flags.filter((flag) => !command?.options.some((option) => [option.short, option.long].includes(flag))),
    ).toEqual([])
    // A form has values to be filled in.
    if (!words.some((word) => /^\[|…/.test(word))) expect(command?.parseOptions(words).unknown).toEqual([])
  },
)

test.each(['1', '7', '007'])('%s is a whole number from 1 to 7', (text) => {
  expect(whole(1, 7)(text)).toBe(Number(text))
})

test.each(['', ' ', '0', '8', '-1', '1.5', '1e0', '0x1', 'seven', '99999999999999999999'])(
  '"%s" is none',
  (text) => {
    expect(() => whole(1, 7)(text)).toThrow('It must be a whole number from 1 to 7.')
  },
)

test('a list has words', () => {
  expect(list('kill,pause')).toEqual(['kill', 'pause'])
})

test.each(['', ',', ',,'])('"%s" is no list: nothing would be run, and passed', (text) => {
  expect(() => list(text)).toThrow('At least one name is needed.')
})

test.each([
  'sim --schedules 0',
  'sim --time 0',
  'power --states 0',
  'power --sessions 0',
  'mutants --only ,',
  'run --nemesis ,',
])('%s would prove nothing: it is a usage error', async (line) => {
  const { status, stdout, stderr } = await runCommand(...line.split(' '))
  expect(stderr).toContain(' is invalid. ')
  expect({ status, stdout }).toEqual({ status: 3, stdout: '' })
})

test('whose output nobody takes any more has not passed before it is done', () => {
  const main = join(import.meta.dirname, '../../../jepsen-lite/main.ts')
  const closed = "Object.assign(new Error('closed'), { code: 'EPIPE' })"
  const script = `import(${JSON.stringify(main)}).then(({ main }) => {
    void main(['check', 'nowhere'])
    process.stdout.emit('error', ${closed})
  })`
  expect(spawnSync(process.execPath, ['-e', script]).status).toBe(3)
})
