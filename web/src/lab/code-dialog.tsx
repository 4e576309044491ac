// The lines of the core that have made a decision, and the section with their rule.

import { signal } from '@preact/signals'
import { useEffect, useState } from 'preact/hooks'
import type { NoteView } from '../../../jepsen-lite/lab/view.ts'
import { Dialog } from '../design/dialog.tsx'
import { Notice } from '../design/notice.tsx'
import './code-dialog.css'
import type { CodeExcerpt } from './code-excerpt.ts'
import { client } from './lab-state.ts'
import { WrongRule } from './wrong-rule.tsx'

const shown = signal<NoteView | undefined>(undefined)

/** The section with the rule of a decision, as a button that shows the code. */
export function CodeButton({ note }: { readonly note: NoteView }) {
  const { source } = note
  if (source === undefined) return null
  return (
    <button
      type="button"
      class="code-button"
      title="Shows the lines of the core that decide"
      onClick={() => {
        client.pause()
        shown.value = note
      }}
    >
      {source}, code
    </button>
  )
}

export function CodeDialog() {
  const { value } = shown
  return value === undefined ? null : <DecisionDialog note={value} />
}

function DecisionDialog({ note }: { readonly note: NoteView }) {
  const [excerpts, setExcerpts] = useState<readonly CodeExcerpt[] | undefined>()
  const [refusal, setRefusal] = useState<string>()
  useEffect(() => {
    import('virtual:decision-code').then(
      ({ default: code }) => setExcerpts(code[note.kind] ?? []),
      () => setRefusal('The code cannot be loaded. The page may be older than its host: load it again.'),
    )
  }, [note])
  return (
    <Dialog title="Where the core decides" onClose={() => (shown.value = undefined)} isWide>
      <p>{note.text}</p>
      <p class="dim">
        The rule stands in Raft, {note.source}. These lines of quorate decide, and run in this page.
      </p>
      <WrongRule />
      {refusal !== undefined && <Notice kind="problem">{refusal}</Notice>}
      {excerpts?.map((excerpt) => (
        <Excerpt key={`${excerpt.file} ${excerpt.first}`} {...excerpt} />
      ))}
    </Dialog>
  )
}

function Excerpt({ file, first, lines, marked }: CodeExcerpt) {
  const name = `${file}, lines ${first} to ${first + lines.length - 1}`
  const indent = Math.min(...lines.filter((line) => line !== '').map((line) => line.search(/\S/)))
  return (
    <figure class="code">
      <figcaption>{name}</figcaption>
      <section class="code-lines" tabindex={0} aria-label={name}>
        <pre>
          {lines.map((line, at) => {
            const number = first + at
            const isMarked = marked.includes(number)
            return (
              <code key={number} class={isMarked ? 'code-marked' : ''}>
                <span class="code-number">
                  {isMarked ? '▸ ' : ''}
                  {number}
                </span>
                {line.slice(indent)}
                {'\n'}
              </code>
            )
          })}
        </pre>
      </section>
    </figure>
  )
}
