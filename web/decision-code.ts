// The code of each decision of the core: the lines that decide, found in the sources when the page is built.
//
// A core reports a decision with `onDecision`. Where a method does that first, its callers have decided.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Plugin } from 'vite'
import type { CodeExcerpt, DecisionCode } from './src/lab/code-excerpt.ts'

const CORE = 'src/raft'
/** Lines around one that decides, within its method. */
const SHOWN = { before: 14, after: 7 }
/** A report in so many lines after the head of a method is the first thing that the method does. */
const FIRST = 4

interface Place {
  readonly file: string
  /** From 0 on. */
  readonly line: number
}

type Sources = ReadonlyMap<string, readonly string[]>

/** `root`: the directory of the repository. */
export function findDecisionCode(root: string): DecisionCode {
  const sources: Sources = new Map(
    readdirSync(join(root, CORE))
      .filter((name) => name.endsWith('.ts') && name !== 'types.ts')
      .sort()
      .map((name) => [`${CORE}/${name}`, readFileSync(join(root, CORE, name), 'utf8').split('\n')]),
  )
  const places = new Map<string, Place[]>()
  for (const [file, lines] of sources)
    for (const [line, text] of lines.entries()) {
      if (!/\bonDecision\?\.\(/.test(text)) continue
      const kind = /kind: '([\w-]+)'/.exec(lines.slice(line, line + FIRST).join(' '))?.[1]
      if (kind === undefined) throw new Error(`${file}:${line + 1}: no kind of a decision`)
      places.set(kind, [...(places.get(kind) ?? []), ...deciding(sources, { file, line })])
    }
  return Object.fromEntries([...places].map(([kind, all]) => [kind, excerpts(sources, all)]))
}

/** The place itself, or the calls of the method that begins with it. */
function deciding(sources: Sources, place: Place): Place[] {
  const lines = sources.get(place.file) ?? []
  const head = headBefore(lines, place.line)
  const name = /^ {2}#(\w+)\(/.exec(lines[head] ?? '')?.[1]
  if (name === undefined || place.line - head >= FIRST) return [place]
  return lines.flatMap((text, line) => (text.includes(`this.#${name}(`) ? [{ file: place.file, line }] : []))
}

const HEAD = /^(?: {2}(?:get |async )?#?\w+\(|(?:export )?function )/

/** The head of the method or function that has this line. */
function headBefore(lines: readonly string[], line: number): number {
  const head = lines.findLastIndex((text, at) => at <= line && HEAD.test(text))
  return Math.max(0, head)
}

/** Excerpts that overlap are one. */
function excerpts(sources: Sources, places: readonly Place[]): CodeExcerpt[] {
  const found: { file: string; from: number; to: number; marked: number[] }[] = []
  for (const { file, line } of places) {
    const lines = sources.get(file) ?? []
    const end = lines.findIndex((text, at) => at > line && /^ {0,2}\}/.test(text))
    const head = headBefore(lines, line)
    // With the comment before it.
    const above = lines.findLastIndex((text, at) => at < head && !/^ *(\/\*\*|\*)/.test(text))
    const from = Math.max(above + 1, line - SHOWN.before)
    const to = Math.min(end, line + SHOWN.after)
    const last = found.at(-1)
    if (last !== undefined && last.file === file && from <= last.to) {
      last.to = Math.max(last.to, to)
      last.marked.push(line + 1)
    } else found.push({ file, from, to, marked: [line + 1] })
  }
  return found.map(({ file, from, to, marked }) => ({
    ...{ file, first: from + 1, marked },
    lines: (sources.get(file) ?? []).slice(from, to + 1),
  }))
}

const MODULE = 'virtual:decision-code'

/** The module `virtual:decision-code`, whose default export is the code of each decision. */
export function decisionCode(root: string): Plugin {
  return {
    name: 'decision-code',
    resolveId: (name) => (name === MODULE ? `\0${MODULE}` : undefined),
    load: (id) =>
      id === `\0${MODULE}` ? `export default ${JSON.stringify(findDecisionCode(root))}` : undefined,
  }
}
