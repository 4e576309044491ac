import { Component, type ComponentChildren } from 'preact'
import { describeError } from '../cluster/connection.ts'
import { Button } from '../design/button.tsx'
import { SafeText } from '../design/bytes-text.tsx'
import { PageFrame } from '../design/page-frame.tsx'

interface Props {
  readonly children: ComponentChildren
  /** The place that is shown. At another one, the page is shown anew. */
  readonly place: unknown
}

interface Fault {
  readonly error?: unknown
  readonly place?: unknown
}

/** A page that cannot be shown does not take the others with it: the rail stays, and another place may be shown. */
export class PageBoundary extends Component<Props, Fault> {
  override state: Fault = {}

  override componentDidCatch(error: unknown): void {
    this.setState({ error, place: this.props.place })
  }

  override render({ children, place }: Props) {
    const { error } = this.state
    if (error === undefined || place !== this.state.place) return children
    return (
      <PageFrame title="This page cannot be shown">
        <p>
          It has a fault: <SafeText text={describeError(error)} />. The store is not affected.
        </p>
        <Button onClick={() => this.setState({ error: undefined })}>Try again</Button>
      </PageFrame>
    )
  }
}
