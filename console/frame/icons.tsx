import type { ComponentChildren } from 'preact'

/** Line drawings on a grid of 24, in the colour of the text beside them. */
function Icon({ children }: { readonly children: ComponentChildren }) {
  return (
    <svg
      class="icon"
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      stroke-width="1.7"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      {children}
    </svg>
  )
}

export const ChatIcon = () => (
  <Icon>
    <path d="M4 6.5A2.5 2.5 0 0 1 6.5 4h11A2.5 2.5 0 0 1 20 6.5v7a2.5 2.5 0 0 1-2.5 2.5H11l-4.5 4v-4A2.5 2.5 0 0 1 4 13.5Z" />
  </Icon>
)
export const MeshIcon = () => (
  <Icon>
    <circle cx="12" cy="12" r="2.5" />
    <circle cx="5" cy="5.5" r="2" />
    <circle cx="19" cy="7" r="2" />
    <circle cx="17" cy="19" r="2" />
    <circle cx="5" cy="17.5" r="2" />
    <path d="m6.5 7 3.7 3.3M17.1 7.8l-3 2.6M15.9 17.3l-2.5-3.2M6.7 16.4l3.3-2.8" />
  </Icon>
)
export const RequestsIcon = () => (
  <Icon>
    <path d="M4 7h9a4 4 0 0 1 0 8H8" />
    <path d="m11 12-3 3 3 3M17 7h3" />
  </Icon>
)
export const ScoresIcon = () => (
  <Icon>
    <path d="M5 20v-7M12 20V5M19 20v-10" />
  </Icon>
)
export const ModelsIcon = () => (
  <Icon>
    <path d="m12 3.5 8 4.3v8.4l-8 4.3-8-4.3V7.8ZM4.2 7.9 12 12.2l7.8-4.3M12 12.2v8.1" />
  </Icon>
)
export const MachinesIcon = () => (
  <Icon>
    <rect x="3.5" y="4" width="7" height="5" rx="1.5" />
    <rect x="13.5" y="15" width="7" height="5" rx="1.5" />
    <path d="M7 9v5.5a3 3 0 0 0 3 3h3.5M17 15V9.5a3 3 0 0 0-3-3h-3.5" />
  </Icon>
)
export const SendIcon = () => (
  <Icon>
    <path d="M12 19V5M6 11l6-6 6 6" />
  </Icon>
)
export const StopIcon = () => (
  <Icon>
    <rect x="7" y="7" width="10" height="10" rx="2" fill="currentColor" />
  </Icon>
)
export const SettingsIcon = () => (
  <Icon>
    <path d="M4 8h9M17 8h3M4 16h3M11 16h9" />
    <circle cx="15" cy="8" r="2" />
    <circle cx="9" cy="16" r="2" />
  </Icon>
)
export const HandoverIcon = () => (
  <Icon>
    <path d="M4 9h13l-3.5-3.5M20 15H7l3.5 3.5" />
  </Icon>
)
