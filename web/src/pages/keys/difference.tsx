// Two versions of a value, line by line: side by side where there is room, else one under the other.

import { diffLines } from 'diff'
import { useMemo } from 'preact/hooks'
import { utf8Text } from '../../../../src/bytes/index.ts'
import { SafeText } from '../../design/bytes-text.tsx'
import { formatBytes, formatCount } from '../../design/numbers.ts'
import { isDocument, LAID_OUT_MAX, layOutDocument } from './json-text.ts'

interface DifferenceProps {
  readonly before: Uint8Array
  readonly after: Uint8Array
  readonly beforeName: string
  readonly afterName: string
}

interface Line {
  readonly text: string
  readonly kind: 'same' | 'gone' | 'new' | 'none'
}

/** Edits after which two texts count as wholly different: the search takes time in proportion to them. */
const EDITS_MAX = 2_000
/** Equal lines that are shown around a change. */
const CONTEXT = 3
const LINES_MAX = 1_000

export function Difference({ before, after, beforeName, afterName }: DifferenceProps) {
  const rows = useMemo(() => compare(before, after), [before, after])
  if (rows === undefined)
    return (
      <p class="dim">
        {beforeName}: {formatBytes(before.length)}, {afterName}: {formatBytes(after.length)}. They are no
        text, or too long or too different to compare line by line.
      </p>
    )
  if (rows.every(([left]) => left.kind === 'same'))
    return (
      <p class="dim">
        {isEqual(before, after)
          ? 'Both are equal.'
          : 'Both are the same JSON. They differ only in spaces and line ends between its parts.'}
      </p>
    )
  const shown = withoutEqualRuns(rows)
  return (
    <>
      <table class="difference mono">
        <thead>
          <tr>
            <th scope="col">{beforeName}</th>
            <th scope="col">{afterName}</th>
          </tr>
        </thead>
        <tbody>
          {shown.slice(0, LINES_MAX).map((row, at) =>
            row === undefined ? (
              <tr key={at} class="difference-gap">
                <td colSpan={2}>…</td>
              </tr>
            ) : (
              <tr key={at}>
                {row.map((line, side) => (
                  <td key={side} class={`difference-${line.kind}`}>
                    {line.kind === 'gone' && <span class="visually-hidden">only before: </span>}
                    {line.kind === 'new' && <span class="visually-hidden">only after: </span>}
                    <SafeText text={line.text} max={4_000} />
                  </td>
                ))}
              </tr>
            ),
          )}
        </tbody>
      </table>
      {shown.length > LINES_MAX && (
        <p class="dim">
          The first {formatCount(LINES_MAX)} of {formatCount(shown.length)} lines are shown.
        </p>
      )}
    </>
  )
}

const isEqual = (before: Uint8Array, after: Uint8Array): boolean =>
  before.length === after.length && before.every((byte, at) => byte === after[at])

type Row = readonly [before: Line, after: Line]

const NONE: Line = { text: '', kind: 'none' }

function compare(before: Uint8Array, after: Uint8Array): readonly Row[] | undefined {
  const [left, right] = [readableText(before), readableText(after)]
  if (left === undefined || right === undefined) return undefined
  const parts = diffLines(left, right, { maxEditLength: EDITS_MAX })
  if (parts === undefined) return undefined
  const rows: Row[] = []
  let gone: Line[] = []
  const addGone = (added: readonly Line[]): void => {
    for (let at = 0; at < Math.max(gone.length, added.length); at++)
      rows.push([gone[at] ?? NONE, added[at] ?? NONE])
    gone = []
  }
  for (const { value, added, removed } of parts) {
    const lines = value.replace(/\n$/, '').split('\n')
    if (removed) gone = lines.map((text) => ({ text, kind: 'gone' }))
    else if (added) addGone(lines.map((text) => ({ text, kind: 'new' })))
    else {
      addGone([])
      for (const text of lines)
        rows.push([
          { text, kind: 'same' },
          { text, kind: 'same' },
        ])
    }
  }
  addGone([])
  return rows
}

/** The text to compare. In a document, each field has a line of its own. undefined: there is no text, or no lines. */
function readableText(value: Uint8Array): string | undefined {
  const text = utf8Text(value)
  if (text === undefined) return undefined
  if (text.length > LAID_OUT_MAX) return text.includes('\n') ? text : undefined
  return isDocument(text) ? layOutDocument(text) : text
}

/** undefined stands for equal lines that are left out. */
function withoutEqualRuns(rows: readonly Row[]): readonly (Row | undefined)[] {
  const isNear = (at: number): boolean =>
    rows.slice(Math.max(0, at - CONTEXT), at + CONTEXT + 1).some(([left]) => left.kind !== 'same')
  const shown: (Row | undefined)[] = []
  rows.forEach((row, at) => {
    if (isNear(at)) shown.push(row)
    else if (shown.length === 0 || shown.at(-1) !== undefined) shown.push(undefined)
  })
  return shown
}
