import { lazy, Suspense } from 'preact/compat'
import { Boundary } from './frame/boundary.tsx'
import { ChatIcon, MachinesIcon, MeshIcon, ModelsIcon, RequestsIcon, ScoresIcon } from './frame/icons.tsx'
import { KeyDialog } from './frame/key-dialog.tsx'
import { NodeBadge } from './frame/node-badge.tsx'
import { route } from './frame/router.ts'
import ChatView from './views/chat/chat-view.tsx'

/** The views, by the first part of the address behind `#`. All but the first are loaded when they are opened. */
const views = {
  chat: { title: 'Chat', Icon: ChatIcon, View: ChatView },
  mesh: { title: 'Mesh', Icon: MeshIcon, View: lazy(() => import('./views/mesh/mesh-view.tsx')) },
  requests: {
    title: 'Requests',
    Icon: RequestsIcon,
    View: lazy(() => import('./views/requests/requests-view.tsx')),
  },
  scores: { title: 'Scores', Icon: ScoresIcon, View: lazy(() => import('./views/scores/scores-view.tsx')) },
  models: { title: 'Models', Icon: ModelsIcon, View: lazy(() => import('./views/models/models-view.tsx')) },
  machines: {
    title: 'Machines',
    Icon: MachinesIcon,
    View: lazy(() => import('./views/machines/machines-view.tsx')),
  },
} as const

type ViewName = keyof typeof views

const toViewName = (name: string): ViewName => (Object.hasOwn(views, name) ? (name as ViewName) : 'chat')

/** The frame around every view. */
export function App() {
  const current = toViewName(route.value.view)
  const { View, title } = views[current]
  document.title = `${title} · QMesh`
  return (
    <div class="frame">
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          // The address says which view it is: it must not change.
          event.preventDefault()
          document.getElementById('main')?.focus()
        }}
      >
        Skip to the content
      </a>
      <header class="side">
        <a class="brand" href="#/chat">
          <MeshIcon />
          QMesh
        </a>
        <nav aria-label="Views">
          {Object.entries(views).map(([name, { title: label, Icon }]) => (
            <a key={name} href={`#/${name}`} aria-current={name === current ? 'page' : undefined}>
              <Icon />
              <span>{label}</span>
            </a>
          ))}
        </nav>
        <NodeBadge />
      </header>
      <main id="main" class={`view view-${current}`} tabIndex={-1}>
        <Boundary key={current}>
          <Suspense fallback={<p class="quiet loading">Loading…</p>}>
            <View />
          </Suspense>
        </Boundary>
      </main>
      <KeyDialog />
    </div>
  )
}
