// The list of lessons, and a lesson from a file of the user.

import { useRef } from 'preact/hooks'
import { Button } from '../../design/button.tsx'
import { SafeText } from '../../design/bytes-text.tsx'
import { Dialog } from '../../design/dialog.tsx'
import { Mark } from '../../design/mark.tsx'
import { Notice } from '../../design/notice.tsx'
import { progress } from './lesson-progress.ts'
import { isListOpen, lessonRefusal, lessons, openListed, openText } from './lesson-state.ts'
import './lessons-dialog.css'

export function LessonsDialog() {
  const file = useRef<HTMLInputElement>(null)
  if (!isListOpen.value) return null
  const refusal = lessonRefusal.value
  const open = async (chosen: File | undefined): Promise<void> => {
    if (chosen !== undefined) openText(undefined, await chosen.text())
  }
  return (
    <Dialog title="Lessons" isWide onClose={() => (isListOpen.value = false)}>
      <p class="dim">
        Predict what will happen, see it, and then break it yourself. What you have done stays in this
        browser.
      </p>
      {refusal !== undefined && <Notice kind="problem">This lesson cannot be opened: {refusal}</Notice>}
      {lessons.value === undefined && refusal === undefined ? (
        <p role="status">One moment …</p>
      ) : (
        <LessonList />
      )}
      <div class="dialog-actions">
        <input
          ref={file}
          type="file"
          accept=".json,application/json"
          class="visually-hidden"
          tabIndex={-1}
          aria-label="File of a lesson"
          onChange={({ currentTarget }) => {
            void open(currentTarget.files?.[0])
            currentTarget.value = ''
          }}
        />
        <Button
          onClick={() => file.current?.click()}
          title="docs/learn/writing-a-lesson.md says how to write one"
        >
          Open a lesson from a file
        </Button>
        <Button onClick={() => (isListOpen.value = false)}>Close</Button>
      </div>
    </Dialog>
  )
}

function LessonList() {
  return (
    <ol class="lessons">
      {(lessons.value ?? []).map((lesson) => {
        const { name, title, summary, minutes } = lesson
        const { step = 0, isDone = false } = progress.value[name] ?? {}
        return (
          <li key={name}>
            <button type="button" class="lessons-entry" onClick={() => openListed(lesson, step)}>
              <span class="lessons-title">
                <SafeText text={title} />
              </span>
              <span class="lessons-minutes">
                {isDone && <Mark of="written" text="done" />} {step > 0 && <span>step {step + 1}</span>}{' '}
                {minutes} min
              </span>
              <span class="lessons-summary">
                <SafeText text={summary} />
              </span>
            </button>
          </li>
        )
      })}
    </ol>
  )
}
