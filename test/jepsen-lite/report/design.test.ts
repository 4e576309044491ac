// One meaning for one colour: reports and pictures take their colours from the design of the console.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { findColor, readDesign } from '../../../jepsen-lite/report/design.ts'
import { style } from '../../../jepsen-lite/report/page.ts'
import { renderPictures } from '../../../jepsen-lite/study/pictures.ts'

const root = join(import.meta.dirname, '../../..')
const readSource = (path: string): string => readFileSync(join(root, path), 'utf8')

const SOURCES = ['jepsen-lite/report', 'jepsen-lite/study'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ts|js|css)$/.test(name))
    .map((name) => join(folder, name)),
)

/** A hexadecimal number, a function or a name. `transparent` and `currentcolor` are no colours of their own. */
const OWN_COLOUR =
  /#[\da-f]{3,8}\b(?!\()|\b(?:rgba?|hsla?|hwb|lab|lch|oklab|oklch|light-dark)\([^)]|(?:fill|stroke|color|background|Style)\b["']?\s*[:=]\s*["']?(?:black|white|gr[ae]y|red|green|blue|orange|purple|yellow)\b/gi

describe('colours', () => {
  test.each(SOURCES)('%s has none of its own', (path) => {
    expect(readSource(path).match(OWN_COLOUR) ?? []).toEqual([])
  })

  test('and what would be one is found', () => {
    for (const text of ['#fff', '#c0152b', 'rgb(0 0 0)', 'color: red', "ctx.fillStyle = 'gray'"])
      expect(text).toMatch(OWN_COLOUR)
  })

  test('of a report are all declared', () => {
    const declared = new Set([...style().matchAll(/(--[\w-]+):/g)].map(([, name]) => name))
    const used = [...style().matchAll(/var\((--[\w-]+)/g)].map(([, name]) => name)
    expect(used.filter((name) => !declared.has(name))).toEqual([])
    const inCharts = SOURCES.filter((path) => path.endsWith('.js')).flatMap((path) =>
      [...readSource(path).matchAll(/ink\.(?:of|tint|pattern)\('([\w-]+)'/g)].map(([, name]) => `--${name}`),
    )
    expect(inCharts.filter((name) => !declared.has(name))).toEqual([])
    expect(new Set(inCharts).size).toBeGreaterThan(8)
  })

  test('of two states are different', () => {
    const states = ['leader', 'follower', 'learner', 'candidate', 'lagging', 'down', 'fault']
    const colours = [...states, 'written', 'not-written', 'unknown'].map(findColor)
    expect(new Set(colours.map(({ light }) => light)).size).toBe(colours.length)
    expect(new Set(colours.map(({ dark }) => dark)).size).toBe(colours.length)
  })

  test('of the committed pictures are those of today', () => {
    const { answered } = renderPictures([], { before: 100, during: 100, after: 100 }, (level) => level)
    const [today] = answered.match(/<style>.*?<\/style>/s) ?? []
    expect(today).toContain(findColor('written').dark)
    for (const name of ['answered', 'ages'])
      expect(readSource(`docs/cp-trade-offs-${name}.svg`)).toContain(today)
  })
})

test('style sheets that a report has load nothing', () => {
  expect(style()).not.toMatch(/@import|url\(/)
  expect(style()).toContain(readDesign('tokens.css'))
})
