import { Component, type ComponentChildren } from 'preact'

interface Props {
  readonly children: ComponentChildren
}

interface State {
  readonly error?: unknown
}

/** A view that fails takes nothing with it: the frame stays, and says what can be done. Give it a `key` for each view. */
export class Boundary extends Component<Props, State> {
  override state: State = {}

  static override getDerivedStateFromError(error: unknown): State {
    return { error }
  }

  override render({ children }: Props, { error }: State) {
    if (error === undefined) return children
    return (
      <div class="failure" role="alert">
        <p>
          <strong>This view has failed.</strong> {error instanceof Error && error.message}
        </p>
        <p>
          Its files are read from the node: is it still running? After an upgrade of the node, the page has to
          be loaded anew.
        </p>
        <button type="button" onClick={() => location.reload()}>
          Load the page again
        </button>
      </div>
    )
  }
}
