import panel

panel.pane.Markdown("hello").servable()
