import { signal } from '@preact/signals'

/** As in the styles: below it the views are at the bottom of the window. */
const query = matchMedia('(max-width: 52rem)')

export const isNarrow = signal(query.matches)
query.addEventListener('change', () => (isNarrow.value = query.matches))
