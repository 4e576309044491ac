import type { ComponentChildren } from 'preact'
import './page-frame.css'

interface PageFrameProps {
  readonly title: ComponentChildren
  /** Buttons beside the title. */
  readonly actions?: ComponentChildren
  readonly children: ComponentChildren
}

/** A page: its title, what can be done with all of it, and its content. */
export function PageFrame({ title, actions, children }: PageFrameProps) {
  return (
    <article class="page">
      <header class="page-head">
        <h1>{title}</h1>
        {actions !== undefined && <div class="page-actions">{actions}</div>}
      </header>
      {children}
    </article>
  )
}
