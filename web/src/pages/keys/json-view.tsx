// JSON that can be folded. What is folded is not in the page, so a large document opens at once.

import { useState } from 'preact/hooks'
import { Button } from '../../design/button.tsx'
import { SafeText } from '../../design/bytes-text.tsx'
import { plural } from '../../design/numbers.ts'
import { ExactNumber } from './json-text.ts'

/** Levels that are open at first, unless one has more than `OPEN_MAX` parts. */
const OPEN_LEVELS = 3
const OPEN_MAX = 50
/** Parts of a list or an object that are shown at first, and added with each step. */
const STEP = 100
const TEXT_MAX = 2_000

export function JsonView({ json }: { readonly json: unknown }) {
  return (
    <div class="json mono">
      <Node name={undefined} value={json} level={0} />
    </div>
  )
}

interface NodeProps {
  readonly name: string | undefined
  readonly value: unknown
  readonly level: number
}

function Node({ name, value, level }: NodeProps) {
  if (typeof value !== 'object' || value === null || value instanceof ExactNumber)
    return (
      <div class="json-line">
        <Name name={name} />
        <Leaf value={value} />
      </div>
    )
  return <Branch name={name} value={value} level={level} />
}

function Branch({ name, value, level }: NodeProps & { readonly value: object }) {
  const parts = Object.entries(value)
  const [isOpen, setOpen] = useState(level < OPEN_LEVELS && parts.length <= OPEN_MAX)
  const [max, setMax] = useState(STEP)
  const isList = Array.isArray(value)
  return (
    <details open={isOpen} onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary class="json-line">
        <Name name={name} />
        <span class="dim">
          {isList ? '[' : '{'}
          {!isOpen && '…'}
          {(!isOpen || parts.length === 0) && (isList ? ']' : '}')}{' '}
          {plural(parts.length, isList ? 'item' : 'field')}
        </span>
      </summary>
      {isOpen && (
        <div class="json-parts">
          {parts.slice(0, max).map(([key, part]) => (
            <Node key={key} name={isList ? undefined : key} value={part} level={level + 1} />
          ))}
          {parts.length > max && (
            <Button kind="quiet" onClick={() => setMax(max + STEP)}>
              Show more: {parts.length - max} left
            </Button>
          )}
        </div>
      )}
    </details>
  )
}

function Name({ name }: { readonly name: string | undefined }) {
  if (name === undefined) return null
  return (
    <span class="json-name">
      <SafeText text={name} max={TEXT_MAX} />:{' '}
    </span>
  )
}

function Leaf({ value }: { readonly value: unknown }) {
  if (value instanceof ExactNumber) return <SafeText text={value.text} max={TEXT_MAX} />
  if (typeof value !== 'string') return <span>{String(value)}</span>
  return (
    <span>
      "<SafeText text={value} max={TEXT_MAX} />"
    </span>
  )
}
