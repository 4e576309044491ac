// Text of a lesson: paragraphs with `code` and [links](https://…). Anything else is shown as it is.

import type { Paragraphs } from '../../../../jepsen-lite/lab/lessons/lesson.ts'

const PART = /`([^`]+)`|\[([^\]]+)\]\((https:\/\/[^\s)]+|#[^\s)]+)\)/g

export function LessonText({ of }: { readonly of: Paragraphs }) {
  return of.map((text) => (
    <p key={text}>
      <LessonLine text={text} />
    </p>
  ))
}

export function LessonLine({ text }: { readonly text: string }) {
  const parts: preact.ComponentChild[] = []
  let end = 0
  for (const { 0: found, 1: code, 2: words, 3: target = '', index } of text.matchAll(PART)) {
    parts.push(text.slice(end, index))
    end = index + found.length
    parts.push(
      code === undefined ? (
        <a
          key={index}
          href={target}
          {...(target.startsWith('#') ? {} : { target: '_blank', rel: 'noreferrer' })}
        >
          {words}
        </a>
      ) : (
        <code key={index}>{code}</code>
      ),
    )
  }
  return (
    <>
      {parts}
      {text.slice(end)}
    </>
  )
}
