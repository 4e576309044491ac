import type { ComponentChildren } from 'preact'
import './empty.css'

interface EmptyProps {
  /** The thing that is missing: `No locks`. */
  readonly title: string
  /** The next step. */
  readonly children?: ComponentChildren
}

/** Stands where something will be listed. */
export function Empty({ title, children }: EmptyProps) {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children}
    </div>
  )
}
