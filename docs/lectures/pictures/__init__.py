"""Pictures of the lectures: computed when the pages are built, or from records that lie here."""
