import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readBashLine } from '../../src/cli/completion/bash-line.ts'
import { candidatesFor } from '../../src/cli/completion/candidates.ts'
import { sourceNames } from '../../src/cli/completion/values.ts'
import { buildProgram } from '../../src/cli/program.ts'

const BREAKS = ' \t\n"\'@><=;|&(:'

async function candidates(line: string): Promise<string[]> {
  const words = line.split(' ')
  const completion = await candidatesFor(
    await buildProgram(['complete']),
    { color: true },
    words.slice(0, -1),
    words.at(-1) ?? '',
  )
  return completion.candidates.map(({ value }) => value)
}

describe('candidates', () => {
  test.each<[string, string[]]>([
    ['pu', ['put']],
    ['com', ['compact', 'completion']],
    ['cluster re', ['resume', 'restart', 'rejoin', 'restore']],
    ['leader ', ['transfer']],
    ['get k --cons', ['--consistency']],
    ['get k --consistency ', ['linearizable', 'lease', 'stale']],
    ['--consistency=st', ['--consistency=stale']],
    ['-o n', ['ndjson']],
    ['--output json status --no', ['--no-color']],
    ['cluster heal -- --da', []],
    ['put k -- ', []],
    ['completion f', ['fish']],
    ['help exp', ['export']],
    ['help consi', ['consistency']],
    ['node start --log-level d', ['debug']],
    ['nonsense ', []],
    ['get k more ', []],
  ])('kv %s', async (line, expected) => {
    expect(await candidates(line)).toEqual(expected)
  })

  test('the hidden command is not offered', async () => {
    expect(await candidates('')).toContain('put')
    expect(await candidates('')).not.toContain('complete')
  })

  test('paths are left to the shell', async () => {
    const program = await buildProgram(['complete'])
    expect(await candidatesFor(program, { color: true }, ['import'], 'x')).toEqual({
      candidates: [],
      paths: 'files',
    })
    expect(await candidatesFor(program, { color: true }, ['cluster', 'start', '--data'], '')).toMatchObject({
      paths: 'directories',
    })
  })

  test('every source of values belongs to an argument or a flag that exists', async () => {
    const program = await buildProgram(['complete'])
    const known = new Set<string>()
    const visit = (command: (typeof program.commands)[number], path: string): void => {
      for (const { long } of command.options) known.add(long ?? '')
      for (const argument of command.registeredArguments) known.add(`${path} ${argument.name()}`)
      for (const child of command.commands) visit(child, `${path} ${child.name()}`.trim())
    }
    for (const { long } of program.options) known.add(long ?? '')
    for (const child of program.commands) visit(child, child.name())
    expect(sourceNames.filter((name) => !known.has(name))).toEqual([])
  })
})

describe('a line of bash', () => {
  test.each<[string, string[], string]>([
    ['kv pu', ['kv'], 'pu'],
    ['kv  get ', ['kv', 'get'], ''],
    ['kv get a\\ b', ['kv', 'get'], 'a b'],
    [`kv get 'a b' "c \\" d`, ['kv', 'get', 'a b'], 'c " d'],
    ['kv get ""', ['kv', 'get'], ''],
    ['kv get "" ', ['kv', 'get', ''], ''],
    [`kv get 'it'\\''s`, ['kv', 'get'], "it's"],
    ['kv get $(x) `y` $Z', ['kv', 'get', '$(x)', '`y`'], '$Z'],
    ['kv get \\', ['kv', 'get'], ''],
  ])('%s', (line, words, current) => {
    expect(readBashLine(line, BREAKS)).toMatchObject({ words, current })
  })

  /** bash replaces only what stands behind the last word break. */
  test.each<[string, string, string]>([
    ['kv --endpoints http://127', 'http://127.0.0.1:7301', '//127.0.0.1:7301'],
    ['kv --endpoints http://127.0.0.1:73', 'http://127.0.0.1:7301', '7301'],
    ['kv --endpoints "http://127', 'http://127.0.0.1:7301', 'http://127.0.0.1:7301'],
    ['kv --output=j', '--output=json', 'json'],
    ['kv put k @lo', '@logo.png', '@logo.png'],
    ['kv put k me@lo', 'me@logo', '@logo'],
    ['kv get a:"b', 'a:b c', 'b c'],
    ['kv get "a:b"c', 'a:bc d', 'a:bc\\ d'],
    ['kv get a\\:b', 'a:bc', 'a:bc'],
  ])('%s, completed to %s', (line, candidate, expected) => {
    expect(readBashLine(line, BREAKS).quoted(candidate)).toBe(expected)
  })

  test('is read as it was quoted', () => {
    const quotes: ((word: string) => string)[] = [
      (word) => `'${word.replaceAll("'", `'\\''`)}'`,
      (word) => `"${word.replace(/["\\$`]/g, '\\$&')}"`,
      (word) => word.replace(/[^A-Za-z0-9]/gu, '\\$&') || "''",
    ]
    const word = fc.tuple(fc.string({ unit: 'grapheme' }), fc.constantFrom(...quotes))
    fc.assert(
      fc.property(fc.array(word), (words) => {
        const line = words.map(([text, quote]) => `${quote(text)} `).join('')
        expect(readBashLine(line, BREAKS)).toMatchObject({ words: words.map(([text]) => text), current: '' })
      }),
    )
  })
})
