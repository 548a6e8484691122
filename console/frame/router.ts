import { signal } from '@preact/signals'

/** Where the page is: `#/requests/9f0c` is the view `requests` and the rest `9f0c`. */
export interface Route {
  readonly view: string
  readonly rest: string
}

function toRoute(hash: string): Route {
  const [, view = '', rest = ''] = /^#\/([a-z]+)(?:\/(.*))?$/.exec(hash) ?? []
  return { view, rest }
}

export const route = signal(toRoute(location.hash))
addEventListener('hashchange', () => {
  route.value = toRoute(location.hash)
})
