// A text of many lines with their numbers, for JSON and the like. Its lines do not wrap.

import { useRef, useState } from 'preact/hooks'
import './code-area.css'

interface CodeAreaProps {
  /** The name of the text, for screen readers. */
  readonly label: string
  readonly value: string
  readonly onInput: (value: string) => void
  /** Where the fault of the text is, in UTF-16 units; undefined: it has none. */
  readonly fault?: number | undefined
  /** The id of the element that describes the fault, or says that there is none. */
  readonly describedBy?: string
  readonly placeholder?: string
}

/** Numbers that fill the highest area. */
const NUMBERS_SHOWN = 48

export function CodeArea({ label, value, onInput, fault, describedBy, placeholder }: CodeAreaProps) {
  const [scroll, setScroll] = useState({ top: 0, lineHeight: 1 })
  const area = useRef<HTMLTextAreaElement>(null)
  const readScroll = (): void => {
    if (area.current === null) return
    const lineHeight = Number.parseFloat(getComputedStyle(area.current).lineHeight)
    setScroll({ top: area.current.scrollTop, lineHeight })
  }
  const lines = countLines(value, value.length)
  const faultLine = fault === undefined ? undefined : countLines(value, fault)
  const first = Math.min(Math.floor(scroll.top / scroll.lineHeight), lines - 1)
  const numbers = Array.from({ length: Math.min(NUMBERS_SHOWN, lines - first) }, (_, at) => first + at + 1)
  return (
    <div class="code-area">
      <div
        class="code-lines"
        aria-hidden="true"
        style={{ width: `calc(${String(lines).length}ch + 1.25rem)` }}
      >
        <div style={{ transform: `translateY(${first * scroll.lineHeight - scroll.top}px)` }}>
          {numbers.map((number) => (
            <div key={number} class={number === faultLine ? 'code-fault' : undefined}>
              {number}
            </div>
          ))}
        </div>
      </div>
      <textarea
        ref={area}
        aria-label={label}
        value={value}
        placeholder={placeholder}
        spellcheck={false}
        autocomplete="off"
        autocapitalize="off"
        onScroll={readScroll}
        onInput={({ currentTarget }) => onInput(currentTarget.value)}
        {...(describedBy === undefined ? undefined : { 'aria-describedby': describedBy })}
        {...(fault === undefined ? undefined : { 'aria-invalid': true as const })}
      />
    </div>
  )
}

/** Number of the line at the index, from 1. */
function countLines(text: string, index: number): number {
  let lines = 1
  for (let at = text.indexOf('\n'); at !== -1 && at < index; at = text.indexOf('\n', at + 1)) lines++
  return lines
}

/** Selects the character at the index, and shows it. */
export function goToIndex(area: HTMLTextAreaElement, index: number): void {
  const lineHeight = Number.parseFloat(getComputedStyle(area).lineHeight)
  area.focus()
  area.setSelectionRange(index, index + 1)
  area.scrollTop = (countLines(area.value, index) - 1) * lineHeight - area.clientHeight / 3
}
